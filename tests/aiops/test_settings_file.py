from pathlib import Path

import pytest

from aiops.settings_file import load_detectors, load_settings
from models.errors import InvalidInput, SettingsInvalid
from models.settings import Settings, is_loopback

DEPLOY = Path(__file__).parents[2] / "deploy"


def load(tmp_path, text):
    file = tmp_path / "aiops.yaml"
    file.write_text(text)
    return load_settings(file)


def refusal(tmp_path, text):
    with pytest.raises(SettingsInvalid) as caught:
        load(tmp_path, text)
    return caught.value.detail.replace(str(tmp_path), "")


def test_without_a_file_a_local_prometheus_is_the_source():
    settings = load_settings(None)
    assert [(s.name, s.type) for s in settings.sources] == [("prom", "prometheus")]
    assert settings == Settings()


def test_an_empty_file_is_no_file(tmp_path):
    assert load(tmp_path, "# nothing\n") == Settings()


def test_detectors_take_what_global_says(tmp_path):
    settings = load(
        tmp_path,
        "global: {step: 30s, delay: 1s}\ndetectors:\n"
        "  - {name: a, source: prom, query: up, model: {kind: mad}}\n"
        "  - {name: b, source: prom, query: up, model: {kind: mad}, step: 1m}\n",
    )
    assert [(d.step, d.delay) for d in settings.detectors] == [(30_000, 1_000), (60_000, 1_000)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("storage:\n  snapshot_intervall: 5s\n", ":2: /storage/snapshot_intervall: unknown key"),
        ("storage:\n  snapshot_intervall: 5s\n", "did you mean 'snapshot_interval'?"),
        ("detectors:\n  - name: a\n    qurey: up\n", ":3: /detectors/0/qurey: unknown key"),
        ("sources:\n  - type: prometheus\n    name: p\n    ulr: x\n", "did you mean 'url'?"),
        ("limits:\n\n  feed_clients: none\n", ":3: /limits/feed_clients"),
        ("storage: {snapshots: 2}\nstorage: {snapshots: 3}\n", ":2: 'storage' stands twice"),
        ("sources: [\n", ":2: "),
        ("- a\n", "expected keys such as"),
        ("sources:\n  - {type: prometheus, name: p, url: 'http://u:p@h'}\n", "http.basic_auth"),
        (
            "detectors:\n  - {name: a, source: x, query: up, model: {kind: mad}}\n",
            "source 'x', which is not among the sources ['prom']",
        ),
        (
            "sources:\n  - {type: prometheus, name: p, url: 'http://h'}\n"
            "  - {type: scrape, name: p, targets: ['http://h']}\n",
            "source 'p' stands twice",
        ),
    ],
)
def test_a_fault_is_told_with_file_line_and_suggestion(tmp_path, text, words):
    assert words in refusal(tmp_path, text)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(SettingsInvalid, match=r"/no/aiops.yaml: cannot be read"):
        load_settings(Path("/no/aiops.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nsource: prom\nquery: up\nmodel: {kind: mad}\n",
        "- {name: a, source: prom, query: up, model: {kind: mad}}\n",
        '{"detectors": [{"name": "a", "source": "prom", "query": "up", "model": {"kind": "mad"}}]}',
    ],
)
def test_detectors_are_read_alone_as_a_list_and_under_their_key(tmp_path, text):
    file = tmp_path / "detectors.yaml"
    file.write_text(text)
    assert [d.name for d in load_detectors(file)] == ["a"]


def test_a_wrong_detector_file_is_named(tmp_path):
    file = tmp_path / "detectors.yaml"
    file.write_text("name: a\n")
    with pytest.raises(InvalidInput, match=r"detectors.yaml: /source: Field required"):
        load_detectors(file)


def test_the_example_files_are_good():
    assert load_settings(DEPLOY / "aiops.yaml").detectors
    assert load_settings(DEPLOY / "aiops.all.yaml").outputs.remote_write


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("shop", False)],
)
def test_loopback_is_told_from_the_rest(host, expected):
    assert is_loopback(host) is expected
