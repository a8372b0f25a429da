"""A real Prometheus on loopback for the demo, started and ended with it."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

READY_SECONDS = 20.0


class LocalPrometheus:
    """Scrapes `targets` every second into `folder`; `url` answers PromQL and takes remote-write."""

    def __init__(self, program: str, folder: Path, targets: list[str]) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": "shop",
                    "static_configs": [{"targets": [_host(target) for target in targets]}],
                }
            ],
        }
        file = folder / "prometheus.yml"
        file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML.
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                "--web.enable-remote-write-receiver",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to hear; it is ended in order.
        )

    def ready(self) -> bool:
        """Wait until it answers; False when it ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urlopen(f"{self.url}/-/ready", timeout=1) as answer:  # noqa: S310 - ours.
                    if answer.status == 200:
                        return True
            except (URLError, OSError):
                pass
            time.sleep(0.1)
        return False

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def find_prometheus() -> str | None:
    """The program, if it is on the PATH."""
    return shutil.which("prometheus")


def _host(target: str) -> str:
    return target.removeprefix("http://").removesuffix("/metrics")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
