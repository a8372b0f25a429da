"""Other ways in: Prometheus pushing to us, VictoriaMetrics read by us."""

import json
import math
import random
import shutil
import threading
import time
from contextlib import suppress

import httpx
import pytest
from websockets.sync.client import connect

from aiops.shard import Stream
from aiops.snapshot import SnapshotFolder
from models.detector import Detector
from models.labels import Labels
from models.settings import Limits
from models.validation import parse
from tests.batches import sample_batch
from tests.conftest import missing_program
from tests.process import Program, until
from tests.server.prometheus import Prometheus, programs
from tests.server.test_road import detector
from tests.server.victoria_metrics import VictoriaMetrics
from tests.server.victoria_metrics import program as victoria_metrics

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("installed", None),
        ("newer", "prometheus.WriteRequest"),
        ("newer", "io.prometheus.write.v2.Request"),
    ],
)
def test_a_prometheus_that_pushes_to_us_has_its_anomaly_on_the_feed(
    which, message, exporter, tmp_path
):
    binary = programs()[which]
    if binary is None:
        missing_program("prometheus")
    if not binary.exists():
        pytest.skip("no newer prometheus could be unpacked; `make servers` says why")
    engine = Program(tmp_path / "engine", {"sources": [{"type": "remote_write", "name": "pushed"}]})
    wanted = detector(name="pushed-gauge", source="pushed", query='gauge{job="test"}', history="0s",
                      delay="3s", model={"kind": "mad", "window": "5m", "threshold": 8, "warmup": 15})  # fmt: skip
    engine.http.post("/detectors", json=wanted).raise_for_status()
    remote = {
        "url": f"{engine.url}/api/v1/write",
        "queue_config": {"batch_send_deadline": "200ms", "min_shards": 1, "max_shards": 1},
    } | ({"protobuf_message": message} if message else {})
    server = Prometheus(binary, tmp_path / "prometheus", [exporter.target], remote_write=remote)
    try:
        until(
            lambda: (s := engine.status("pushed-gauge"))["series"] == 3 and s["warming"] == 0,
            "three warm series",
            60,
        )
        with connect(engine.url.replace("http", "ws") + "/api/v1/feed") as socket:
            socket.send(json.dumps({"op": "subscribe", "topics": ["anomalies"]}))
            while json.loads(socket.recv())["type"] != "subscribed":
                pass
            exporter.offset["c"] = 60.0
            while (told := json.loads(socket.recv(timeout=15)))["type"] != "anomaly":
                pass
            event = told["data"]
        assert (event["labels"]["series"], event["state"]) == ("c", "open")
        health = engine.http.get("/sources/pushed/health").json()
        assert health["failures_total"] == 0
        assert health["requests_total"] > 5
    finally:
        exporter.offset["c"] = 0.0
        server.stop()
        engine.stop()


def test_what_a_prometheus_has_can_be_looked_through(prometheus, tmp_path):
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    engine = Program(tmp_path / "engine", {"sources": [source]})
    try:
        until(lambda: prometheus.query("gauge"), "samples")
        page = engine.http.get("/sources/prom/metrics", params={"contains": "gau"}).json()
        assert page["items"][0]["name"] == "gauge"
        until(
            lambda: engine.http.get("/sources/prom/metrics", params={"contains": "gau"}).json()["items"][0]["type"] == "gauge",
            "the metric's type",
        )  # fmt: skip
        first = engine.http.get("/sources/prom/metrics", params={"limit": 2}).json()
        assert len(first["items"]) == 2
        then = {"limit": 2, "cursor": first["next"]}
        assert engine.http.get("/sources/prom/metrics", params=then).json()["items"]
        labels = engine.http.get("/sources/prom/labels", params={"match": "gauge"}).json()["items"]
        assert {"__name__", "instance", "job", "series"} <= set(labels)
        values = engine.http.get("/sources/prom/labels/series").json()["items"]
        assert values == ["a", "b", "c"]
        refused = engine.http.get("/sources/prom/labels", params={"match": "}{"})
        assert refused.json()["code"] == "query_rejected"
        asked = {"query": "gauge", "step": "1s"}
        until(
            lambda: engine.http.post("/sources/prom/query", json=asked).json()["total"] == 3,
            "three series in the preview",
        )
    finally:
        engine.stop()


class Voice(threading.Thread):
    """Writes two series to a VictoriaMetrics, a sample a second; what it missed comes later."""

    def __init__(self, server, born):
        super().__init__(daemon=True)
        self._server = server
        self._next = born
        self._end = threading.Event()
        self.start()

    @staticmethod
    def value(series, at):
        # Three decimals: VictoriaMetrics keeps decimal numbers.
        return round(50 + 10 * math.sin(at / 7) + random.Random(f"{series}{at}").gauss(0, 1), 3)

    def run(self):
        while not self._end.wait(0.1):
            upto = int(time.time()) - 1
            samples = [
                (f'load{{series="{series}"}}', at * 1000, self.value(series, at))
                for at in range(self._next, upto + 1)
                for series in "ab"
            ]
            if samples:
                with suppress(httpx.TransportError):
                    self._server.write(samples)
                    self._next = upto + 1

    def close(self):
        self._end.set()
        self.join(10)


def positions(folder):
    """Position and state of the detector in the newest snapshot."""
    return SnapshotFolder(folder / "data" / "snapshots", 3).newest().arrays


def test_victoria_metrics_is_read_and_what_was_missed_on_either_side_is_caught_up(tmp_path):
    if victoria_metrics() is None:
        missing_program("victoria-metrics")
    server = VictoriaMetrics(tmp_path / "vm")
    voice = Voice(server, int(time.time()) - 90)
    settings = {
        "sources": [
            {"type": "prometheus", "name": "vm", "url": server.url, "http": {"retries": 1}}
        ],
        "storage": {"snapshot_interval": "1s"},
    }
    wanted = detector(name="load", source="vm", query="load", history="60s", delay="3s",
                      model={"kind": "ewma", "warmup": 10})  # fmt: skip
    engine = Program(tmp_path / "engine", settings)
    try:
        engine.http.post("/detectors", json=wanted).raise_for_status()
        until(lambda: engine.status("load")["state"] == "running", "running", 40)
        found = engine.http.get("/sources/vm/metrics").json()["items"]
        assert "load" in [metric["name"] for metric in found]
        assert "series" in engine.http.get("/sources/vm/labels").json()["items"]
        born = engine.status("load")["live_since"]
        rng = random.Random(3)
        for _ in range(3):  # Both flap, in turns and together.
            time.sleep(rng.uniform(1, 3))
            server.stop()
            time.sleep(rng.uniform(1, 3))
            engine.kill()
            server.start()
            time.sleep(rng.uniform(1, 3))
            engine.start()
        until(lambda: engine.status("load")["state"] == "running", "running again", 60)
        until(lambda: engine.status("load")["lag_seconds"] < 8, "caught up", 40)
        assert engine.status("load")["live_since"] == born
        engine.stop()
        arrays = positions(tmp_path / "engine")
        total = json.loads(arrays["load/place"].tobytes())
        position_ms, samples = total[0], total[1]
        # Every instant since the history began, once, for both series.
        first_ms = position_ms - (samples // 2 - 1) * 1000
        assert samples % 2 == 0
        born_ms = round(time.time() * 1000)
        assert first_ms < born_ms - 60_000
        replayed = replay(arrays, wanted, first_ms, position_ms)
        for name, array in replayed.items():
            assert array.tobytes() == arrays[f"load/{name}"].tobytes(), name
    finally:
        voice.close()
        server.stop()
        shutil.rmtree(tmp_path / "vm", ignore_errors=True)


def replay(arrays, wanted, first_ms, last_ms):
    """The state of a detector that saw those samples in one go."""
    stream = Stream(parse(Detector, wanted), Limits(), born_ms=0, live_after_ms=0)
    series = {
        Labels({"__name__": "load", "series": name}): {
            at: Voice.value(name, at // 1000) for at in range(first_ms, last_ms + 1, 1000)
        }
        for name in "ab"
    }
    stream.step(sample_batch(series, first_ms, last_ms), 0)
    return {k: v for k, v in stream.state().items() if k.startswith("scoring/model/")}
