import io
import json
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest import mock

import polars as pl
import pytest

from aiops.cli import main
from tests.process import BIN, Program, until
from tests.upstream import FakePrometheus


def program(*arguments, **more):
    """The command as a program of its own."""
    command = [str(BIN / "aiops"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


class Answer(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def aiops(*arguments):
    """The command within this process, which is started already."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["aiops", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(errors),
        pytest.raises(SystemExit) as left,
    ):
        main()
    return Answer(left.value.code, out.getvalue(), errors.getvalue())


def test_help_and_version_load_nothing_heavy():
    assert "COMMAND" in program("--help").stdout
    assert program("--version").stdout.startswith("aiops ")
    loaded = subprocess.run(
        [sys.executable, "-c", "import aiops.cli, sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not {"numpy", "numba", "pydantic", "fastapi", "asyncio", "httpx"} & set(loaded)


@pytest.mark.parametrize("arguments", [[], ["fly"], ["check"], ["detectors"]])
def test_a_wrong_command_says_what_there_is(arguments):
    answer = aiops(*arguments)
    assert answer.returncode == 2
    assert "usage:" in answer.stderr


def test_bench_measures_the_kinds_asked_for():
    answer = aiops("bench", "--series", 50, "--ticks", 2, "--kind", "ewma", "--json")
    pace = json.loads(answer.stdout)
    assert (pace["kind"], pace["series"]) == ("ewma", 50)
    assert pace["samples_per_second"] == pytest.approx(1e9 / pace["nanoseconds"], rel=1e-3)
    assert pace["state_bytes"] == 28
    assert "samples/s" in aiops("bench", "--series", 5, "--ticks", 1, "--kind", "mad").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--kind", "mda"), "unknown kind 'mda'"), (("--series", 0), "must be at least 1")],
)
def test_bench_refuses_nonsense(arguments, words):
    answer = aiops("bench", *arguments)
    assert answer.returncode == 1
    assert words in answer.stderr


def test_check_config_tells_good_from_bad(tmp_path):
    file = tmp_path / "aiops.yaml"
    file.write_text("detectors:\n  - {name: a, source: prom, query: up, model: {kind: mad}}\n")
    good = aiops("check", "config", file)
    assert (good.returncode, good.stdout) == (
        0, f"{file}: 1 sources, 1 detectors, 0 outputs: good\n",
    )  # fmt: skip
    file.write_text("detectors:\n  - {name: a, source: prom, query: up, model: {kind: mda}}\n")
    bad = aiops("check", "config", file)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "/detectors/0: unknown kind 'mda'" in bad.stderr
    file.write_text("sorces: []\n")
    assert "did you mean 'sources'?" in aiops("check", "config", file).stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--web.listen-address=0.0.0.0:0"], "no token is set: name one with auth"),
        (["--web.listen-address=here"], "write it like 127.0.0.1:8321"),
        (["--web.listen-address=127.0.0.1:99999"], "is not an address"),
        (["--config.file=/no/file"], "/no/file: cannot be read"),
        (["--storage.path=/proc/none"], "storage path '/proc/none' cannot be used"),
    ],
)
def test_serve_refuses_what_cannot_work_in_one_sentence(options, words, tmp_path):
    answer = program("serve", *options, cwd=tmp_path)
    assert answer.returncode == 1
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


def test_commands_speak_to_a_running_engine(tmp_path):
    prometheus = FakePrometheus()
    prometheus.series = {(("job", "a"),): lambda t: 1.0}
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    engine = Program(tmp_path / "engine", {"sources": [source]})
    url = f"--url={engine.url}"
    try:
        file = tmp_path / "detectors.yaml"
        file.write_text(
            "- {name: one, source: prom, query: up, step: 1s, history: 1m, model: {kind: ewma}}\n"
            "- {name: two, source: prom, query: up, enabled: false, model: {kind: mad}}\n"
        )
        applied = aiops("detectors", "apply", file, url)
        assert applied.stdout == "one: applied\ntwo: applied\n"
        until(lambda: engine.status("one")["state"] == "running", "running")
        listed = aiops("detectors", "list", url).stdout.splitlines()
        assert [line.split()[:3] for line in listed] == [
            ["one", "running", "ewma"], ["two", "stopped", "mad"],
        ]  # fmt: skip
        assert aiops("detectors", "delete", "two", url).stdout == "two: deleted\n"
        missing = aiops("detectors", "delete", "two", url)
        assert (missing.returncode, missing.stderr) == (1, "aiops: no detector 'two'\n")
        file.write_text("{name: bad, source: none, query: up, model: {kind: mad}}\n")
        assert "unknown source 'none'" in aiops("detectors", "apply", file, url).stderr
        watch = subprocess.Popen(
            [str(BIN / "aiops"), "watch", "--json", url], stdout=subprocess.PIPE, text=True
        )
        assert json.loads(watch.stdout.readline())["type"] == "hello"
        watch.terminate()
        watch.communicate(timeout=10)
    finally:
        engine.stop()
        prometheus.close()
    away = aiops("detectors", "list", url)
    assert away.returncode == 1
    assert engine.url in away.stderr
    assert "Traceback" not in away.stderr


def recording(path, jump=900):
    rows = [
        f"{1_795_200_000 + 60 * k},{host},{10 + k % 3 + (80 if host == 'a' and k == jump else 0)}"
        for k in range(1_000)
        for host in "ab"
    ]
    path.write_text("timestamp,host,value\n" + "\n".join(rows))
    return path


def test_detect_judges_a_file(tmp_path):
    file = recording(tmp_path / "load.csv")
    scores, plot = tmp_path / "scores.parquet", tmp_path / "plot.png"
    answer = program("detect", file, "--out", scores, "--plot", plot)
    assert answer.returncode == 0, answer.stderr
    assert '{host="a"}  saw 90' in answer.stdout
    assert "2000 samples, 1900 judged, of 2 series at 60 s" in answer.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")
    table = pl.read_parquet(scores)
    assert table.columns == ["timestamp", "host", "value", "score", "expected", "lower", "upper"]
    loud = table.fill_nan(-1).filter(pl.col("score") > 1)
    assert set(loud["host"]) == {"a"}
    assert 90 in set(loud["value"])


def test_detect_draws_a_page_and_takes_any_model(tmp_path):
    page = tmp_path / "page.html"
    model = json.dumps({"kind": "mad", "window": "1h"})
    file = recording(tmp_path / "load.csv")
    answer = aiops("detect", file, "--model", model, "--plot", page, "--json")
    (anomaly,) = map(json.loads, answer.stdout.splitlines())
    assert anomaly["explanation"]["observed"] == 90
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "host=a" in text
    grouped = aiops("detect", file, "--group-by", "nothing", "--model", "mad")
    assert "of 1 series" in grouped.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--model", "mda"), "unknown kind 'mda'"),
        (("--model", "{"), "not JSON"),
        (("--step", "soon"), "soon"),
        (("--plot", "plot.gif"), "a plot is a .png or an .html file"),
        (("--out", "scores.txt"), "a .csv or a .parquet file"),
    ],
)
def test_detect_says_what_it_cannot_do(tmp_path, more, words):
    answer = aiops("detect", recording(tmp_path / "load.csv"), *more)
    assert answer.returncode == 1
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


def test_detect_names_a_file_that_is_none(tmp_path):
    assert "cannot be read" in aiops("detect", tmp_path / "nothing.csv").stderr
    empty = tmp_path / "empty.csv"
    empty.write_text("timestamp,value\n")
    assert "holds no sample" in aiops("detect", empty).stderr


def test_backtest_asks_a_server(tmp_path):
    prometheus = FakePrometheus()
    now = int(time.time())
    prometheus.series = {
        (("host", "a"),): lambda t: 90 if 0 <= t - now + 600 < 5 else 10 + t % 3,
    }
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    detector = {
        "name": "load", "source": "prom", "query": "load", "step": "1s", "history": "1m",
        "model": {"kind": "mad", "window": "1m", "warmup": 10},
    }  # fmt: skip
    engine = Program(tmp_path / "engine", {"sources": [source], "detectors": [detector]})
    try:
        plot = tmp_path / "plot.html"
        asked = ("backtest", "load", "--start=20m", "--url", engine.url)
        answer = aiops(*asked, "--plot", plot)
        assert answer.returncode == 0, answer.stderr
        assert '{host="a"}  saw 90' in answer.stdout
        assert "anomalies" in answer.stdout
        assert "data:image/png" in plot.read_text()
        deaf = json.dumps({"kind": "threshold", "upper": 100})
        assert ": 0 anomalies" in aiops(*asked, "--model", deaf, "--plot", plot).stdout
        assert "<tr><td>" not in plot.read_text()
        assert "no detector 'none'" in aiops(*asked[:1], "none", *asked[2:]).stderr
        assert "is not a time" in aiops(*asked[:2], "--start=soon", *asked[3:]).stderr
    finally:
        engine.stop()
        prometheus.close()


def long_recording(path):
    rows = [
        f"{1_795_200_000 + 60 * k},{host},{50 + (k * 7919 + ord(host)) % 13}"
        for k in range(4_000)
        for host in "ab"
    ]
    path.write_text("timestamp,host,value\n" + "\n".join(rows))
    return path


def test_tune_compares_models_on_a_file(tmp_path):
    file = long_recording(tmp_path / "load.csv")
    few = ("--injections", 12, "--model", "mad", "--model", '{"kind": "threshold", "upper": 1e9}')
    answer = aiops("tune", file, *few)
    assert answer.returncode == 0, answer.stderr
    assert "8000 samples of 2 series" in answer.stdout
    assert "threshold upper=1000000000.0" in answer.stdout
    told = [json.loads(line) for line in aiops("tune", file, *few, "--json").stdout.splitlines()]
    assert [entry["model"]["kind"] for entry in told] == ["mad", "threshold"]
    assert told[0]["recall"]["value"] > told[1]["recall"]["value"] == 0
    assert set(told[0]["by_shape"]) == {"spike", "shift", "ramp", "noise", "flat"}


def test_tune_reads_what_a_detector_of_a_settings_file_would_read(tmp_path):
    prometheus = FakePrometheus()
    prometheus.series = {(("host", "a"),): lambda t: 10 + t * 7919 % 13}
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    pushed = {"type": "remote_write", "name": "pushed"}
    detectors = [
        {"name": "load", "source": "prom", "query": "load", "step": "1s"},
        {"name": "pushed", "source": "pushed", "query": "up", "step": "1s"},
    ]
    file = tmp_path / "aiops.yaml"
    file.write_text(json.dumps({"sources": [source, pushed], "detectors": detectors}))
    asked = ("--config.file", file, "--start", "3h", "--model", "mad", "--json")
    try:
        (told,) = map(json.loads, aiops("tune", "load", *asked).stdout.splitlines())
        assert told["model"] == {"kind": "mad"}
        assert told["recall"]["value"] > 0.2
        assert "known: load, pushed" in aiops("tune", "none", *asked).stderr
        soon = aiops("tune", "load", *asked[:2], "--start", "soon")
        assert "or like 7d, for seven days ago" in soon.stderr
        late = aiops("tune", "load", *asked[:2], "--start", "1h", "--end", "2h")
        assert "--end must be after --start" in late.stderr
        assert "keeps nothing of what is pushed" in aiops("tune", "pushed", *asked).stderr
    finally:
        prometheus.close()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--injections", 0), "must be at least 1"),
        (("--budget", "often"), "is not a budget"),
        (("--model", "group_pca"), "judges groups; say which labels name one"),
        (("--config.file", "none.yaml"), "cannot be read"),
    ],
)
def test_tune_says_what_it_cannot_do(tmp_path, more, words):
    answer = aiops("tune", long_recording(tmp_path / "load.csv"), *more)
    assert answer.returncode == 1
    assert words in answer.stderr


def test_tune_holds_so_much_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("aiops.offline.SAMPLES_MAX", 7_000)
    answer = aiops("tune", long_recording(tmp_path / "load.csv"))
    assert answer.returncode == 1
    assert "has more than 7000 samples in that time; ask for less time" in answer.stderr


def test_check_config_tells_a_model_that_needs_groups(tmp_path):
    file = tmp_path / "aiops.yaml"
    file.write_text(
        "detectors:\n  - {name: a, source: prom, query: up, model: {kind: group_pca}}\n"
    )
    assert "/detectors/0: model 'group_pca' judges groups" in aiops("check", "config", file).stderr
