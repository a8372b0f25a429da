"""Sources as documents, and pushes, over the API of the real program."""

import json
import math
import time
from contextlib import ExitStack

import cramjam
import httpx
import pytest

from tests.api.test_api import document
from tests.ingest.test_received import encoded_v2
from tests.ingest.test_received_lines import json_of, protobuf_of
from tests.ingest.test_remote_write import encoded
from tests.loki import FakeLoki
from tests.process import Program, until
from tests.upstream import FakePrometheus

V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


@pytest.fixture(scope="module")
def prometheus():
    server = FakePrometheus()
    server.jump = math.inf
    server.series = {(("__name__", "load"), ("host", "a")): lambda t: 10 + t % 3}
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
    with httpx.Client(base_url=f"{program.url}/api/v1", timeout=20) as client:
        yield client


@pytest.fixture
def made(http):
    """Registers sources for one test, and detectors on them."""
    with ExitStack() as stack:

        def register(source, **detector):
            answer = http.post("/sources", json=source)
            assert answer.status_code == 201, answer.text
            stack.callback(lambda: http.delete(f"/sources/{source['name']}"))
            if detector:
                made = document(**{"source": source["name"], "history": "0s"} | detector)
                answer = http.post("/detectors", json=made)
                assert answer.status_code == 201, answer.text
                stack.callback(lambda: http.delete(f"/detectors/{made['name']}"))
            return answer.json()

        yield register


def problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code
    return answer.json()


def test_a_source_lives_its_life(http, prometheus):
    source = {"type": "prometheus", "name": "second", "url": prometheus.url + "/"}
    answer = http.post("/sources", json=source)
    assert answer.headers["Location"] == "/api/v1/sources/second"
    assert answer.json()["http"]["timeout"] == "30s"
    problem(http.post("/sources", json=source), 409, "conflict")
    assert [s["name"] for s in http.get("/sources").json()["items"]] == ["prom", "second"]
    changed = http.patch("/sources/second", json={"http": {"timeout": "5s"}})
    assert changed.json()["http"]["timeout"] == "5s"
    assert http.put("/sources/second", json=source).status_code == 200
    assert http.put("/sources/third", json=source | {"name": "third"}).status_code == 201
    for name in ("second", "third"):
        assert http.delete(f"/sources/{name}").status_code == 204
    problem(http.get("/sources/second"), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "ftp://x"}, "/url"),
        ({"url": "http://u:p@host"}, "/url"),
        ({"http": {"timeout": "soon"}}, "/http/timeout"),
        ({"http": {"headers": {"Authorization": "x"}}}, "/http"),
        ({"name": "Big"}, "/name"),
        ({"extra": 1}, "/extra"),
    ],
)
def test_a_wrong_source_is_refused_with_its_place(http, change, pointer):
    source = {"type": "prometheus", "name": "wrong", "url": "http://127.0.0.1:1"} | change
    told = problem(http.post("/sources", json=source), 422, "invalid_input")
    assert told["errors"][0]["pointer"] == pointer
    problem(http.get("/sources/wrong"), 404, "not_found")


def test_secrets_are_never_told(http, made, tmp_path):
    (tmp_path / "token").write_text("hunter2")
    secret = {"file": str(tmp_path / "token")}
    oauth2 = {"token_url": "http://127.0.0.1:9/t", "client_id": "me", "client_secret": secret}
    made({"type": "loki", "name": "safe", "url": "http://127.0.0.1:9",
          "http": {"retries": 0, "oauth2": oauth2, "secret_headers": {"X-Key": secret}}})  # fmt: skip
    text = http.get("/sources/safe").text + http.get("/sources/safe/health").text
    assert "hunter2" not in text
    assert http.get("/sources/safe/health").json()["reachable"] is False


def test_a_source_in_use_stays_and_its_detectors_follow_a_change(http, made, prometheus):
    other = FakePrometheus()
    other.series = {(("__name__", "load"), ("host", "new")): lambda t: 1.0}
    source = {"type": "prometheus", "name": "used", "url": prometheus.url}
    made(source, name="reader")
    told = problem(http.delete("/sources/used"), 409, "conflict")
    assert "reader" in told["detail"]
    until(lambda: http.get("/detectors/reader/status").json()["samples_total"] > 1, "samples")
    assert http.put("/sources/used", json=source | {"url": other.url}).status_code == 200
    until(lambda: http.get("/detectors/reader/status").json()["series"] == 2, "the new series")
    health = http.get("/sources/used/health").json()
    assert health["detectors"] == ["reader"]
    assert health["lag_seconds"] < 10
    problem(http.put("/sources/used", json=source | {"type": "loki"}), 409, "conflict")
    other.close()


def test_what_the_settings_file_lists_is_changed_there(http):
    problem(http.delete("/sources/prom"), 409, "conflict")
    problem(http.patch("/sources/prom", json={"url": "http://127.0.0.1:1"}), 409, "conflict")


def test_a_source_survives_a_restart(http, program, prometheus):
    http.post("/sources", json={"type": "prometheus", "name": "kept", "url": prometheus.url})
    program.kill()
    program.start()
    assert program.http.get("/sources/kept").json()["type"] == "prometheus"
    assert program.http.delete("/sources/kept").status_code == 204


def test_a_query_is_tried_out_first(http, made):
    now = int(time.time())
    asked = {"query": "load", "step": "10s", "limit": 1}
    shown = http.post("/sources/prom/query", json=asked).json()
    assert shown["total"] == 1
    [series] = shown["series"]
    assert series["labels"]["host"] == "a"
    assert len(series["samples"]) > 300
    assert abs(series["samples"][-1][0] - now) < 20
    problem(http.post("/sources/prom/query", json={"query": "!"}), 422, "query_rejected")
    wrong = asked | {"start": "2030-01-01T00:00:00Z"}
    problem(http.post("/sources/prom/query", json=wrong), 422, "invalid_input")
    loki = FakeLoki()
    loki.push({"app": "a"}, now * 10**9, "hello")
    made({"type": "loki", "name": "logs", "url": loki.url})
    shown = http.post("/sources/logs/query", json={"query": '{app="a"}', "step": "1m"}).json()
    assert [line["line"] for line in shown["lines"]] in (["hello"], [])
    assert http.get("/sources/logs/labels").json()["items"] == ["app"]
    loki.close()


def test_a_query_is_built_from_parts(http):
    parts = {"language": "promql", "metric": "x_total", "over_time": "rate"}
    assert http.post("/sources/build", json=parts).json() == {"query": "rate(x_total[5m])"}
    problem(http.post("/sources/build", json={"language": "sql"}), 422, "invalid_input")


def snappy(raw):
    return bytes(cramjam.snappy.compress_raw(raw))


def test_pushed_samples_are_judged(http, made):
    made({"type": "remote_write", "name": "pushed"}, name="on-pushed", query='{job="x"}', delay="1s",
         model={"kind": "mad", "window": "1m", "warmup": 3})  # fmt: skip
    headers = {"Content-Type": V2, "Content-Encoding": "snappy"}
    jump = False

    def push():
        at = int(time.time() * 1000)
        value = 99.0 if jump else 10.0 + at // 1000 % 2
        series = [
            ({"__name__": "load", "job": "x"}, [(value, at)]),
            ({"job": "other"}, [(1.0, at)]),
        ]
        answer = http.post("/write", content=snappy(encoded_v2(series)), headers=headers)
        assert answer.status_code == 204, answer.text
        assert answer.headers["X-Prometheus-Remote-Write-Samples-Written"] == "2"
        return http.get("/detectors/on-pushed/status").json()

    until(lambda: (s := push())["samples_total"] > 4 and s["warming"] == 0, "a warm series", 40)
    jump = True
    until(lambda: push()["anomalies_open"] == 1, "the anomaly", 20)
    [anomaly] = http.get("/anomalies?detector=on-pushed").json()["items"]
    assert anomaly["labels"]["job"] == "x"


def test_what_is_no_remote_write_is_refused_as_senders_understand(http, made):
    good = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    problem(http.post("/write", content=snappy(b""), headers=good), 404, "not_found")
    made({"type": "remote_write", "name": "pushed"})
    problem(http.post("/write", content=b"rubbish", headers=good), 400, "invalid_input")
    unlabelled = snappy(encoded([({}, [(1.0, 1)])]))
    problem(http.post("/write", content=unlabelled, headers=good), 400, "invalid_input")
    for headers in (
        {"Content-Type": "application/json"},
        good | {"Content-Encoding": "gzip"},
        good | {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"},
    ):
        problem(http.post("/write", content=b"", headers=headers), 415, "unsupported_media")
    second = {"type": "remote_write", "name": "another"}
    problem(http.post("/sources", json=second), 409, "conflict")


def test_a_full_intake_says_when_to_come_again(http, made):
    made({"type": "remote_write", "name": "pushed", "samples_max": 1000})
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    body = snappy(encoded([({"a": "b"}, [(1.0, k) for k in range(1000)])]))
    assert http.post("/write", content=body, headers=headers).status_code == 204
    answer = http.post("/write", content=body, headers=headers)
    assert problem(answer, 429, "intake_full")["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("kind", ["json", "protobuf"])
def test_pushed_lines_are_counted(http, program, made, kind):
    made({"type": "loki_push", "name": "lines"}, name="on-lines", query='{app="a"}', delay="1s",
         model={"kind": "log_rate", "window": "1m"})  # fmt: skip
    encode, media = (
        (json_of, "application/json") if kind == "json" else (protobuf_of, "application/x-protobuf")
    )

    def push():
        lines = [({"app": "a"}, time.time_ns(), f"order {k} paid") for k in range(3)]
        answer = httpx.post(
            f"{program.url}/loki/api/v1/push",
            content=encode(lines),
            headers={"Content-Type": media},
        )
        assert answer.status_code == 204, answer.text
        return http.get("/detectors/on-lines/status").json()

    # A series for the template, and one for the level.
    until(lambda: push()["series"] == 2, "the series", 20)
    page = httpx.get(f"{program.url}/metrics").text
    assert 'aiops_intake_samples_total{source="lines"}' in page
    assert 'aiops_log_lines_total{detector="on-lines"}' in page
    rubbish = httpx.post(
        f"{program.url}/loki/api/v1/push",
        content=b"{",
        headers={"Content-Type": "application/json"},
    )
    problem(rubbish, 400, "invalid_input")


def test_a_file_is_replayed(http, made, tmp_path):
    path = tmp_path / "samples.csv"
    rows = [f"{time.time() - 60 + k:.0f},{k % 3}" for k in range(60)]
    path.write_text("timestamp,value\n" + "\n".join(rows))
    made({"type": "replay", "name": "file", "path": str(path)}, name="on-file", history="2m",
         query='{__name__="samples"}')  # fmt: skip
    until(
        lambda: http.get("/detectors/on-file/status").json()["samples_total"] >= 55, "the samples"
    )


def test_openapi_names_the_pushes(program):
    paths = httpx.get(f"{program.url}/api/openapi.json").json()["paths"]
    assert {"/api/v1/write", "/loki/api/v1/push", "/api/v1/sources/{name}/query"} <= set(paths)
    assert json.dumps(paths)


def test_a_source_that_cannot_be_made_leaves_everything_as_it_was(http, program):
    folder = program.folder / "data" / "intake"
    folder.mkdir(exist_ok=True)
    (folder / "blocked").write_text("a file where the journal's folder would be")
    source = {"type": "remote_write", "name": "blocked"}
    told = problem(http.post("/sources", json=source), 422, "invalid_input")
    assert "cannot be made" in told["detail"]
    problem(http.get("/sources/blocked"), 404, "not_found")
    (folder / "blocked").unlink()
    assert http.post("/sources", json=source).status_code == 201
    assert http.delete("/sources/blocked").status_code == 204
