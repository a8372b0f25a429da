"""The demo as `make run` starts it."""

import os
import re
import signal
import subprocess

import httpx
import pytest

from tests.conftest import missing_program
from tests.process import BIN, until
from tests.server.prometheus import programs

pytestmark = pytest.mark.server


def children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return found.stdout.split()


@pytest.mark.parametrize(
    ("with_prometheus", "end"),
    [(True, signal.SIGINT), (True, signal.SIGHUP), (False, signal.SIGTERM)],
)
def test_the_demo_shows_a_url_and_ends_everything_it_started(tmp_path, with_prometheus, end):
    if with_prometheus and programs()["installed"] is None:
        missing_program("prometheus")
    path = os.environ["PATH"] if with_prometheus else str(BIN)
    log = (tmp_path / "log").open("wb")
    demo = subprocess.Popen(
        [str(BIN / "aiops"), "demo", "--web.listen-address=127.0.0.1:0"],
        stdout=log,
        stderr=log,
        env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)},
    )
    try:
        said = lambda: (tmp_path / "log").read_text()  # noqa: E731
        url = until(lambda: re.search(r"Open (http://\S+)", said()), "the URL", 40)[1]
        how = "a real Prometheus at http" if with_prometheus else "scrapes of its exporters"
        assert how in said()
        started = children(demo.pid)
        assert len(started) == with_prometheus
        until(lambda: httpx.get(f"{url}/ready").status_code == 200, "ready", 40)
        until(lambda: "shop-latency is warming" in said(), "the feed in the terminal")
        page = until(
            lambda: (p := httpx.get(f"{url}/metrics/scores").text).count("\ny{") >= 15 and p,
            "values of all services",
            40,
        )
        assert 'service="payment"' in page
    finally:
        demo.send_signal(end)
        status = demo.wait(30)
        log.close()
    assert status == 0, said()
    assert "Traceback" not in said()
    assert [p for p in started if os.path.exists(f"/proc/{p}")] == []  # noqa: PTH110
    assert list(tmp_path.glob("aiops-demo-*")) == []
