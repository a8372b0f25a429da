"""The whole road against a real Prometheus."""

import json
import time

import httpx
import pytest
from websockets.sync.client import connect

from tests.process import Program, until

pytestmark = pytest.mark.server


def settings(prometheus):
    return {
        "sources": [{"type": "prometheus", "name": "prom", "url": prometheus.url}],
        "outputs": {"remote_write": [{"url": f"{prometheus.url}/api/v1/write"}]},
        "storage": {"snapshot_interval": "2s"},
    }


def detector(**changes):
    return {
        "name": "gauge",
        "source": "prom",
        "query": "gauge",
        "step": "1s",
        "delay": "1s",
        "history": "1m",
        "model": {"kind": "mad", "window": "5m", "threshold": 8, "warmup": 20},
        "policy": {"recover": "3s"},
    } | changes


@pytest.fixture
def program(prometheus, tmp_path):
    made = Program(tmp_path / "engine", settings(prometheus))
    yield made
    made.stop()


def warm(program, name):
    program.http.post("/detectors", json=detector(name=name))
    return until(
        lambda: (s := program.status(name))["state"] == "running" and s["warming"] == 0 and s["series"] == 3 and s,
        "warm series",
        60,
    )  # fmt: skip


def test_a_step_in_one_series_is_on_the_feed_within_3_seconds_and_back_in_prometheus(
    prometheus, program, exporter
):
    warm(program, "stepped")
    with connect(program.url.replace("http", "ws") + "/api/v1/feed") as socket:
        socket.send(json.dumps({"op": "subscribe", "topics": ["anomalies"]}))
        while json.loads(socket.recv())["type"] != "subscribed":
            pass
        exporter.offset["b"] = 60.0
        stepped = time.time()
        event = json.loads(socket.recv(timeout=10))["data"]
        delay = time.time() - stepped
        exporter.offset["b"] = 0.0
    print(f"a step of 60 sigma reached the feed after {delay:.2f} s")
    assert delay < 3.0
    assert event["labels"]["series"] == "b"
    assert (event["state"], event["direction"]) == ("open", "above")
    why = event["explanation"]
    assert why["lower"] < why["expected"] < why["upper"] < why["observed"]
    score = (why["observed"] - why["expected"]) / (why["upper"] - why["expected"])
    assert score == why["score"] == event["score"] > 1
    until(lambda: program.anomalies(state="closed"), "the close")
    assert {a["labels"]["series"] for a in program.anomalies()} == {"b"}
    until(
        lambda: prometheus.query('max_over_time(anomaly_score{for="stepped"}[1m]) > 1'), "the score"
    )
    assert {
        r["metric"]["series"]
        for r in prometheus.query('max_over_time(anomaly_score{for="stepped"}[1m]) > 1')
    } == {"b"}
    for family in ("y", "yhat", "yhat_lower", "yhat_upper"):
        assert len(prometheus.query(f'{family}{{for="stepped",model_alias="mad"}}')) == 3
    page = httpx.get(f"{program.url}/metrics/scores").text
    assert 'anomaly_score{for="stepped"' in page


def test_a_stopped_detector_leaves_no_score_lingering(prometheus, program):
    warm(program, "stopped")
    until(lambda: prometheus.query('anomaly_score{for="stopped"}'), "scores")
    program.http.post("/detectors/stopped/stop")
    until(lambda: not prometheus.query('anomaly_score{for="stopped"}'), "stale markers", 10)


def test_what_prometheus_rejects_is_told_in_its_own_words(program):
    for query, words in (
        ("sum by (", "parse error: "),
        ("rate(gauge)", "expected type range vector"),
        ("gauge * on (job) gauge", "many-to-many matching not allowed"),
    ):
        answer = program.http.post("/detectors", json=detector(query=query))
        assert (answer.status_code, answer.json()["code"]) == (422, "query_rejected")
        assert words in answer.json()["detail"]
    assert program.http.get("/detectors").json()["items"] == []
