import json
import subprocess
import sys

import pytest

from tests.process import BIN, Program, until
from tests.upstream import FakePrometheus


def aiops(*arguments, **more):
    return subprocess.run(
        [str(BIN / "aiops"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


def test_help_and_version_load_nothing_heavy():
    assert "COMMAND" in aiops("--help").stdout
    assert aiops("--version").stdout.startswith("aiops ")
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
    answer = aiops("serve", *options, cwd=tmp_path)
    assert answer.returncode == 1
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


def test_commands_speak_to_a_running_engine(tmp_path):
    prometheus = FakePrometheus()
    prometheus.series = {(("job", "a"),): lambda t: 1.0}
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    program = Program(tmp_path / "engine", {"sources": [source]})
    url = f"--url={program.url}"
    try:
        file = tmp_path / "detectors.yaml"
        file.write_text(
            "- {name: one, source: prom, query: up, step: 1s, history: 1m, model: {kind: ewma}}\n"
            "- {name: two, source: prom, query: up, enabled: false, model: {kind: mad}}\n"
        )
        applied = aiops("detectors", "apply", file, url)
        assert applied.stdout == "one: applied\ntwo: applied\n"
        until(lambda: program.status("one")["state"] == "running", "running")
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
        program.stop()
        prometheus.close()
    away = aiops("detectors", "list", url)
    assert away.returncode == 1
    assert program.url in away.stderr
    assert "Traceback" not in away.stderr
