"""The API of the real program over a small server that speaks Prometheus's API."""

import json
import math
import time
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from api.client import ApiProblem, Client
from api.problems import STATUS
from models.detector import Detector
from models.validation import parse
from tests.process import Program, until
from tests.upstream import FakePrometheus


def document(name="load", **changes):
    return {
        "name": name,
        "source": "prom",
        "query": "load",
        "step": "1s",
        "delay": "0s",
        "history": "40s",
        "model": {"kind": "mad", "window": "1m", "warmup": 10},
        "policy": {"recover": "2s"},
    } | changes


@pytest.fixture(scope="module")
def prometheus():
    server = FakePrometheus()
    server.jump = math.inf
    server.series = {
        (("__name__", "load"), ("host", "a")): lambda t: 100.0 if t >= server.jump else 10 + t % 3,
        (("__name__", "load"), ("host", "b")): lambda t: 5 + t % 2,
    }
    yield server
    server.close()


@pytest.fixture(scope="module")
def program(prometheus, tmp_path_factory):
    settings = {
        "sources": [
            {"type": "prometheus", "name": "prom", "url": prometheus.url, "http": {"retries": 0}},
            {"type": "prometheus", "name": "gone", "url": "http://127.0.0.1:9",
             "http": {"retries": 0, "bearer_token": {"env": "NO_SUCH_TOKEN"}}},
        ],
        "detectors": [document("owned")],
        "limits": {"feed_queue": 50, "feed_clients": 5},
    }  # fmt: skip
    made = Program(tmp_path_factory.mktemp("engine"), settings)
    yield made
    made.stop()


@pytest.fixture
def http(program):
    yield program.http
    for entry in program.http.get("/detectors").json()["items"]:
        if entry["name"] != "owned":
            program.http.delete(f"/detectors/{entry['name']}")


def problem(answer, status, code):
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail", "instance", "retryable"} <= body.keys()
    return body


def test_a_detector_lives_from_post_to_delete(http):
    made = http.post("/detectors", json=document())
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/detectors/load"
    assert made.json()["policy"] == {
        "direction": "both", "min_deviation": 0, "min_relative_deviation": 0,
        "hold": "0s", "recover": "2s", "missing": "ignore",
    }  # fmt: skip
    assert http.get("/detectors/load").json() == made.json()
    until(lambda: http.get("/detectors/load/status").json()["state"] == "running", "running")
    status = http.get("/detectors/load/health").json()
    assert status["series"] == 2
    assert status["lag_seconds"] < 5
    assert http.delete("/detectors/load").status_code == 204
    problem(http.get("/detectors/load"), 404, "not_found")
    problem(http.delete("/detectors/load"), 404, "not_found")


def test_put_creates_then_replaces_and_patch_changes_one_key(http):
    assert http.put("/detectors/load", json=document()).status_code == 201
    assert http.put("/detectors/load", json=document(labels={"team": "a"})).status_code == 200
    patched = http.patch(
        "/detectors/load", json={"policy": {"hold": "5s"}, "labels": {"team": None}}
    )
    assert patched.json()["policy"]["hold"] == "5s"
    assert patched.json()["policy"]["recover"] == "2s"
    assert patched.json()["labels"] == {}
    problem(http.patch("/detectors/load", json={"name": "other"}), 422, "invalid_input")
    problem(http.patch("/detectors/none", json={}), 404, "not_found")
    problem(http.put("/detectors/other", json=document()), 422, "invalid_input")


def test_start_and_stop_are_idempotent_and_keep_what_was_learned(http):
    http.post("/detectors", json=document(enabled=False))
    assert http.get("/detectors/load/status").json()["state"] == "stopped"
    for _ in range(2):
        assert http.post("/detectors/load/start").json()["state"] != "stopped"
    assert http.get("/detectors/load").json()["enabled"] is True
    until(lambda: http.get("/detectors/load/status").json()["state"] == "running", "running")
    learned = http.get("/detectors/load/status").json()["samples_total"]
    for _ in range(2):
        assert http.post("/detectors/load/stop").json()["state"] == "stopped"
    assert http.get("/detectors/load/status").json()["samples_total"] >= learned > 0
    problem(http.post("/detectors/none/start"), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer", "words"),
    [
        ({"qurey": "x"}, 422, "invalid_input", "/qurey", "did you mean 'query'"),
        ({"model": {"kind": "mda"}}, 422, "invalid_input", "/model/kind", "known: "),
        ({"model": {"kind": "mad", "window": "9d"}}, 422, "invalid_input", "/model", "between 1 and 20000"),
        ({"model": {"kind": "group_pca"}}, 422, "invalid_input", "/group_by", "say which labels name one"),
        ({"source": "pron"}, 422, "invalid_input", "/source", "known: gone, prom"),
        ({"step": "soon"}, 422, "invalid_input", "/step", "write it like 15s"),
        ({"name": "Not OK"}, 422, "invalid_input", "/name", "pattern"),
        ({"query": "!"}, 422, "query_rejected", None, "parse error: no !"),
        ({"name": "owned"}, 409, "conflict", None, "PUT replaces it"),
    ],
)  # fmt: skip
def test_a_wrong_detector_is_refused_whole(http, change, status, code, pointer, words):
    body = problem(http.post("/detectors", json=document() | change), status, code)
    told = body["errors"][0] if pointer else body
    assert pointer is None or told["pointer"] == pointer
    assert words in told["detail"]
    assert [d["name"] for d in http.get("/detectors").json()["items"]] == ["owned"]


def test_a_secret_that_is_missing_is_named_and_an_unreachable_source_can_be_tried_again(
    http, program
):
    answer = http.post("/detectors", json=document(source="gone"))
    body = problem(answer, 502, "source_unavailable")
    assert "'NO_SUCH_TOKEN' is not set" in body["detail"]
    assert http.get("/sources/gone/health").json()["reachable"] is False


def test_a_source_that_is_down_is_told_and_nothing_is_left_behind(http, prometheus):
    prometheus.down = True
    try:
        body = problem(http.post("/detectors", json=document()), 502, "source_unavailable")
        assert body["retryable"] is True
        health = http.get("/sources/prom/health").json()
        assert (health["reachable"], "503" in health["error"]) == (False, True)
    finally:
        prometheus.down = False
    assert [d["name"] for d in http.get("/detectors").json()["items"]] == ["owned"]


def test_what_is_no_json_or_no_object_is_told(http):
    headers = {"Content-Type": "application/json"}
    problem(http.post("/detectors", content=b'{"name": ', headers=headers), 400, "malformed_json")
    problem(http.post("/detectors", content=b"[]", headers=headers), 422, "invalid_input")
    problem(http.post("/detectors", content=b"", headers=headers), 422, "invalid_input")
    problem(http.post("/detectors", content=b"x" * 5_000_000, headers=headers), 413, "too_large")
    problem(http.get("/nothing"), 404, "not_found")
    problem(http.delete("/detectors"), 405, "method_not_allowed")


def test_request_ids_are_taken_or_made(http):
    answer = http.get("/detectors/none", headers={"X-Request-ID": "mine-1"})
    assert answer.json()["request_id"] == "mine-1"
    odd = http.get("/detectors/none", headers={"X-Request-ID": "x" * 500})
    assert len(odd.json()["request_id"]) == 32


def test_lists_come_in_pages(http):
    for name in ("a", "b", "c"):
        http.put(f"/detectors/{name}", json=document(name, enabled=False))
    first = http.get("/detectors", params={"limit": 3}).json()
    second = http.get("/detectors", params={"limit": 3, "cursor": first["next"]}).json()
    assert [d["name"] for d in first["items"] + second["items"]] == ["a", "b", "c", "owned"]
    assert second["next"] is None
    problem(http.get("/detectors", params={"cursor": "%%%"}), 422, "invalid_input")
    problem(http.get("/anomalies", params={"cursor": "aaaa"}), 422, "invalid_input")
    problem(http.get("/detectors", params={"limit": 0}), 422, "invalid_input")
    problem(http.get("/anomalies", params={"since": "soon"}), 422, "invalid_input")
    problem(http.get("/anomalies", params={"labels": "{"}), 422, "invalid_input")


def test_a_detector_of_the_settings_file_is_changed_there(http):
    for answer in (
        http.delete("/detectors/owned"),
        http.put("/detectors/owned", json=document("owned")),
        http.patch("/detectors/owned", json={"query": "x"}),
    ):
        assert "stands in the settings file" in problem(answer, 409, "conflict")["detail"]


def test_kinds_come_with_their_parameters(http):
    kinds = {entry["kind"]: entry for entry in http.get("/kinds").json()}
    window = kinds["mad"]["parameters"]["properties"]["window"]
    assert window["default"] == "1h"
    assert "duration" in window["description"]
    assert http.get("/kinds/ewma").json() == kinds["ewma"]
    problem(http.get("/kinds/none"), 404, "not_found")


def test_sources_are_listed_without_their_secrets(http):
    sources = {s["name"]: s for s in http.get("/sources").json()["items"]}
    assert sources["gone"]["http"]["bearer_token"] == {"file": None, "env": "NO_SUCH_TOKEN"}
    assert http.get("/sources/prom").json() == sources["prom"]
    health = http.get("/sources/prom/health").json()
    assert health["reachable"] is True
    assert health["latency_seconds"] >= 0
    problem(http.get("/sources/none"), 404, "not_found")


def test_probes_and_pages_answer(program):
    for path in ("/health", "/ready", "/alive", "/-/healthy", "/-/ready", "/", "/api/docs"):
        assert httpx.get(program.url + path).status_code == 200, path
    assert httpx.head(f"{program.url}/-/ready").status_code == 200
    health = httpx.get(f"{program.url}/health").json()
    assert {"engine", "store", "snapshots", "detector/owned"} <= health["components"].keys()
    metrics = httpx.get(f"{program.url}/metrics").text
    assert 'aiops_detector_series{detector="owned"} 2.0' in metrics
    assert "aiops_samples_total" in metrics
    assert 'aiops_source_requests_total{source="prom"}' in metrics


def test_the_openapi_page_needs_nothing_from_elsewhere(program):
    page = httpx.get(f"{program.url}/api/docs").text
    assert "//" not in page.replace("http://127.0.0.1", "").replace("// ", "")
    assert httpx.get(f"{program.url}/console/docs/swagger-ui-bundle.js").status_code == 200
    assert httpx.get(f"{program.url}/api/openapi.json").json()["openapi"].startswith("3.")


def feed(program):
    return connect(program.url.replace("http", "ws") + "/api/v1/feed")


def receive(socket, kind, seconds=15):
    """The next message of that type."""
    deadline = time.monotonic() + seconds
    while True:
        message = json.loads(socket.recv(timeout=deadline - time.monotonic()))
        if message["type"] == kind:
            return message


def subscribe(socket, *topics, **more):
    socket.send(json.dumps({"op": "subscribe", "topics": topics} | more))
    return receive(socket, "subscribed")


def test_an_anomaly_reaches_the_feed_the_list_and_the_scores_page(program, http, prometheus):
    http.post("/detectors", json=document(labels={"team": "shop"}))
    until(lambda: http.get("/detectors/load/status").json()["state"] == "running", "running")
    with feed(program) as socket:
        hello = receive(socket, "hello")
        assert hello["heartbeat_seconds"] == 15
        subscribe(socket, "anomalies", filter={"detector": "load"})
        prometheus.jump = int(time.time()) + 1
        opened = receive(socket, "anomaly")
        prometheus.jump = math.inf
        event = opened["data"]
        assert (event["state"], event["direction"]) == ("open", "above")
        assert event["labels"] == {"__name__": "load", "host": "a", "team": "shop"}
        assert event["sample_at"] <= event["received_at"] <= event["scored_at"]
        # A slow machine reads the jump more than once: a higher peak may be told in between.
        while (closed := receive(socket, "anomaly")["data"])["state"] != "closed":
            pass
        assert closed["id"] == event["id"]
    listed = http.get("/anomalies", params={"detector": "load"}).json()["items"]
    assert [a["id"] for a in listed] == [event["id"]]
    assert http.get(f"/anomalies/{event['id']}").json()["state"] == "closed"
    problem(http.get("/anomalies/none"), 404, "not_found")
    scores = httpx.get(f"{program.url}/metrics/scores").text
    assert 'anomaly_score{for="load",host="a",model_alias="mad",team="shop"}' in scores
    with feed(program) as socket:
        socket.send(json.dumps(
            {"op": "subscribe", "topics": ["anomalies"], "since": hello["cursor"],
             "filter": {"detector": "load"}}
        ))  # fmt: skip
        replayed = receive(socket, "anomaly")
        assert replayed == opened
        places = [int(own["cursor"].rpartition("-")[2]) for own in (hello, replayed)]
        assert places[0] < places[1]


def test_the_feed_says_what_is_wrong_and_goes_on(program):
    with feed(program) as socket:
        receive(socket, "hello")
        for wrong, words in (
            ("{", "not JSON"),
            ('{"op":"subscribe","topics":["x"]}', "unknown topic 'x'"),
            ('{"op":"subscribe","topcis":["anomalies"]}', "did you mean 'topics'"),
        ):
            socket.send(wrong)
            assert words in receive(socket, "error")["detail"]
        assert subscribe(socket, "anomalies")["topics"] == ["anomalies"]
        socket.send('{"op":"subscribe","topics":["anomalies"],"since":"other-1"}')
        assert receive(socket, "gap")["reason"] == "the cursor is of another feed"


def test_states_and_scores_are_told_until_unsubscribed(program, http):
    with feed(program) as socket:
        subscribe(socket, "detectors", "scores/owned")
        scores = receive(socket, "scores")["data"]
        assert {s["labels"]["host"] for s in scores["series"]} == {"a", "b"}
        http.post("/detectors", json=document("late", enabled=False))
        told = receive(socket, "detector")["data"]
        assert (told["name"], told["state"]) == ("late", "stopped")
        socket.send('{"op":"unsubscribe","topics":["scores/owned","detectors"]}')
        with pytest.raises(TimeoutError):
            receive(socket, "scores", 2.5)


def test_connections_beyond_the_limit_are_turned_away(program):
    with ExitStack() as stack:
        for _ in range(5):
            receive(stack.enter_context(feed(program)), "hello")
        with feed(program) as late, pytest.raises(ConnectionClosed) as closed:
            receive(late, "hello")
        assert closed.value.rcvd.code == 1013


def test_the_client_speaks_to_it(program, http):
    with Client(program.url) as client:
        made = client.apply(parse(Detector, document("sdk", enabled=False)))
        assert client.detector("sdk") == made
        assert [d.name for d in client.detectors()] == ["owned", "sdk"]
        assert client.start("sdk").name == "sdk"
        assert client.stop("sdk").state == "stopped"
        assert client.status("sdk").state == "stopped"
        client.delete("sdk")
        with pytest.raises(ApiProblem, match="no detector 'sdk'") as caught:
            client.detector("sdk")
        assert (caught.value.code, caught.value.status) == ("not_found", 404)
        assert isinstance(list(client.anomalies(state="open")), list)
        assert next(client.watch())["type"] == "hello"


def test_tokens_guard_everything_but_the_probes(prometheus, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret")
    settings = {"sources": [], "auth": {"bearer_tokens": [{"file": str(token)}]}}
    program = Program(tmp_path / "engine", settings)
    try:
        assert problem(program.http.get("/detectors"), 401, "unauthorized")["retryable"] is False
        assert httpx.get(f"{program.url}/metrics").status_code == 401
        assert httpx.get(f"{program.url}/health").status_code == 200
        good = {"Authorization": "Bearer s3cret"}
        assert program.http.get("/detectors", headers=good).status_code == 200
        with pytest.raises(InvalidStatus) as refused, feed(program):
            pass
        assert refused.value.response.status_code == 403
        address = program.url.replace("http", "ws") + "/api/v1/feed"
        with connect(address, subprotocols=["bearer", "s3cret"]) as socket:
            assert socket.subprotocol == "bearer"
            receive(socket, "hello")
        token.write_text("rotated")
        assert program.http.get("/detectors", headers=good).status_code == 401
        assert "s3cret" not in program.log_path.read_text()
    finally:
        assert program.stop() == 0


def test_every_problem_code_is_documented():
    readme = (__import__("pathlib").Path(__file__).parents[2] / "README.md").read_text()
    for code, (status, _) in STATUS.items():
        assert f"| `{code}` | {status} |" in readme, code
