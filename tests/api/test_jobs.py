"""Trainings, backtests, versions and detection over the API of the real program."""

import math
import time

import httpx
import numpy as np
import pytest

from api.client import Client
from models.timestamps import format_timestamp
from tests.api.test_api import document
from tests.process import Program, until
from tests.upstream import FakePrometheus

HOUR = 3_600


@pytest.fixture(scope="module")
def prometheus():
    server = FakePrometheus()
    server.began = int(time.time())

    def load(t):
        # Two hours before the start it stood at 60 for 20 seconds.
        return 60.0 if -2 * HOUR <= t - server.began < -2 * HOUR + 20 else 10 + t % 3

    server.series = {(("__name__", "load"), ("host", "a")): load}
    yield server
    server.close()


@pytest.fixture(scope="module")
def program(prometheus, tmp_path_factory):
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    made = Program(tmp_path_factory.mktemp("engine"), {"sources": [source]})
    yield made
    made.stop()


@pytest.fixture
def http(program):
    yield program.http
    for entry in program.http.get("/detectors").json()["items"]:
        program.http.delete(f"/detectors/{entry['name']}")


@pytest.fixture
def detector(http):
    """A running detector; its name."""
    answer = http.post("/detectors", json=document(name="load", history="1m"))
    assert answer.status_code == 201, answer.text
    until(lambda: http.get("/detectors/load/status").json()["state"] == "running", "running")
    return "load"


def window(prometheus, first, last):
    """Seconds before the server began, as a request's body."""
    return {
        "start": format_timestamp((prometheus.began + first) * 1_000),
        "end": format_timestamp((prometheus.began + last) * 1_000),
    }


def over(http, answer, state="done"):
    assert answer.status_code == 202, answer.text
    path = answer.headers["Location"].removeprefix("/api/v1")
    job = until(lambda: (j := http.get(path).json())["state"] in ("done", "failed") and j, "a job")
    assert job["state"] == state, job
    return job


def test_a_training_is_a_version_that_the_detector_goes_on_from(http, prometheus, detector):
    before = http.get(f"/detectors/{detector}/status").json()
    job = over(http, http.post(f"/detectors/{detector}/train", json=window(prometheus, -600, 0)))
    assert job["progress"] == 1.0
    assert job["result"]["series"] == 1
    assert job["result"]["samples"] == 600
    (version,) = http.get(f"/detectors/{detector}/versions").json()["items"]
    assert (version["id"], version["active"], version["samples"]) == (job["id"], True, 600)
    status = until(
        lambda: (
            (s := http.get(f"/detectors/{detector}/status").json())["position"] > before["position"]
            and s
        ),
        "live samples",
    )
    assert status["samples_total"] >= 600
    assert status["state"] == "running"
    assert job["id"] in [j["id"] for j in http.get("/jobs").json()["items"]]


def test_versions_are_gone_back_to_and_carried_to_another_detector(http, prometheus, detector):
    path = f"/detectors/{detector}/versions"
    first = over(http, http.post(f"/detectors/{detector}/train", json=window(prometheus, -300, 0)))
    kept = window(prometheus, -200, 0) | {"activate": False}
    second = over(http, http.post(f"/detectors/{detector}/train", json=kept))
    active = {v["id"]: v["active"] for v in http.get(path).json()["items"]}
    assert active == {first["id"]: True, second["id"]: False}
    answer = http.post(f"{path}/{second['id']}/activate")
    assert answer.json()["active"], answer.text
    active = {v["id"]: v["active"] for v in http.get(path).json()["items"]}
    assert active == {first["id"]: False, second["id"]: True}
    until(lambda: http.get(f"/detectors/{detector}/status").json()["state"] == "running", "it")
    content = http.get(f"{path}/{second['id']}").content
    http.post("/detectors", json=document(name="other", history="1m", enabled=False))
    brought = http.post("/detectors/other/versions", content=content)
    assert brought.status_code == 201, brought.text
    assert brought.json()["samples"] == 200
    assert http.post("/detectors/other/versions", content=content[:-1]).status_code == 422
    http.post("/detectors", json=document(name="third", query="else", enabled=False))
    refused = http.post("/detectors/third/versions", content=content)
    assert refused.status_code == 422
    assert "another source, query" in refused.json()["detail"]
    assert http.get(f"{path}/nothing").status_code == 404
    assert http.delete("/detectors/other").status_code == 204
    http.post("/detectors", json=document(name="other", enabled=False))
    assert http.get("/detectors/other/versions").json()["items"] == []


def test_a_backtest_tells_what_would_have_been_told(http, prometheus, detector):
    asked = window(prometheus, -2 * HOUR - 600, -2 * HOUR + 600)
    result = over(http, http.post(f"/detectors/{detector}/backtest", json=asked))["result"]
    (anomaly,) = result["anomalies"]
    assert anomaly["explanation"]["observed"] == 60
    assert anomaly["started_at"] == format_timestamp((prometheus.began - 2 * HOUR) * 1_000)
    assert result["anomalies_total"] == 1
    assert math.isclose(result["alerts_per_day"], 1 / (1_200 / 86_400))
    assert result["changed"]["only_here"] == [anomaly["id"]]
    deaf = asked | {"model": {"kind": "threshold", "upper": 100}}
    result = over(http, http.post(f"/detectors/{detector}/backtest", json=deaf))["result"]
    assert result["anomalies_total"] == 0
    assert http.get("/anomalies").json()["items"] == []


def test_given_samples_are_judged_and_nothing_is_learned(http, detector):
    path = f"/detectors/{detector}/detect"
    labels = {"__name__": "load", "host": "a"}
    ahead = time.time() + 5
    body = {"series": [{"labels": labels, "samples": [[ahead, 11], [ahead + 1, 500]]}]}
    first = http.post(path, json=body).json()
    assert first["learned_until"]
    (_, value, score, expected, *_), high = first["series"][0]["samples"]
    assert value == 11
    assert score < 1 < high[2]
    assert 9 < expected < 13
    again = http.post(path, json=body).json()
    assert np.isclose(again["series"][0]["samples"][1][2], high[2], rtol=0.5)
    late = {"series": [{"labels": labels, "samples": [[ahead - HOUR, 11]]}]}
    assert http.post(path, json=late).json()["series"][0]["samples"][0][2] is None
    new = {"series": [{"labels": {"host": "new"}, "samples": [[ahead, 11]]}]}
    assert http.post(path, json=new).json()["series"][0]["samples"] == [
        [pytest.approx(ahead, abs=1e-3), 11, None, None, None, None]
    ]


def test_a_window_of_the_past_is_judged_as_it_was(http, prometheus, detector):
    asked = window(prometheus, -2 * HOUR - 60, -2 * HOUR + 30)
    (series,) = http.post(f"/detectors/{detector}/detect", json=asked).json()["series"]
    scores = {at - prometheus.began + 2 * HOUR: score for at, _, score, *_ in series["samples"]}
    assert len(scores) == 90
    assert scores[-5] < 1 < scores[0]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("train", {"start": 20, "end": 10}, 422, "end must be after start"),
        ("train", {"start": 20}, 422, "required"),
        ("backtest", {"start": 1, "end": 2, "model": {"kind": "mda"}}, 422, "unknown kind"),
        ("detect", {}, 422, "give either series, or start and end"),
        ("detect", {"series": []}, 422, "no sample"),
        ("detect", {"series": [{"labels": {}, "samples": [[2, 1], [1, 1]]}]}, 422, "must rise"),
    ],
)
def test_what_cannot_be_done_is_said(http, detector, path, body, status, words):
    answer = http.post(f"/detectors/{detector}/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.text


def test_a_job_is_cancelled(http, prometheus, detector):
    slow = prometheus.answer
    prometheus.answer = lambda request: (time.sleep(0.2), slow(request))[1]
    try:
        asked = window(prometheus, -24 * HOUR * 20, 0)
        job = http.post(f"/detectors/{detector}/train", json=asked).json()
        waiting = http.post(f"/detectors/{detector}/train", json=asked).json()
        until(lambda: http.get(f"/jobs/{job['id']}").json()["progress"] > 0, "progress")
        assert http.delete(f"/jobs/{waiting['id']}").json()["state"] == "cancelled"
        assert http.delete(f"/jobs/{job['id']}").json()["state"] == "cancelled"
    finally:
        prometheus.answer = slow
    assert http.get(f"/detectors/{detector}/versions").json()["items"] == []
    assert http.get("/jobs/none").status_code == 404


def test_jobs_are_listed_in_pages_and_told_on_the_feed(http, program, prometheus, detector):
    made = [
        over(http, http.post(f"/detectors/{detector}/train", json=window(prometheus, -60, 0)))["id"]
        for _ in range(3)
    ]
    page = http.get("/jobs?limit=2").json()
    assert [job["id"] for job in page["items"]] == made[:0:-1]
    more = http.get("/jobs", params={"limit": 2, "cursor": page["next"]}).json()
    assert more["items"][0]["id"] == made[0]
    with Client(program.url) as client:
        for message in client.watch(["jobs"], since=None):
            if message["type"] == "hello":
                http.post(f"/detectors/{detector}/train", json=window(prometheus, -60, 0))
            elif message["type"] == "job":
                assert message["data"]["detector"] == detector
                break
    assert httpx.get(f"{program.url}/api/openapi.json").json()["paths"]["/api/v1/jobs"]
