"""Nothing lost, nothing twice: killed engines, vanished servers, and the run that nobody disturbed."""

import asyncio
import random
import sqlite3
import time

import httpx
import numpy as np
import pytest

from aiops.shard import Stream
from ingest.http import HttpClient
from ingest.prometheus import Prometheus as Source
from models.detector import Detector
from models.settings import Limits
from models.source import Connection, PrometheusSource
from models.timestamps import parse_timestamp
from models.validation import parse
from tests.process import Program, until
from tests.server.test_road import detector, settings, warm

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]
OUTAGE_SECONDS = 60


def undisturbed(prometheus, program, name):
    """Scores and anomaly ids of one stream that reads the same samples in one go."""
    document = parse(Detector, program.http.get(f"/detectors/{name}").json())
    with sqlite3.connect(program.folder / "data/records.sqlite") as store:
        born_ms, live_ms = store.execute(
            "select born_ms, live_after_ms from detectors where name = ?", (name,)
        ).fetchone()
    end_ms = parse_timestamp(program.status(name)["position"])
    start_ms = (born_ms - document.history) // document.step * document.step + document.step

    async def read():
        http = HttpClient(Connection(), retries=0, now_ms=lambda: 0, rng=random.Random(1))
        made = PrometheusSource(type="prometheus", name="prom", url=prometheus.url)
        source = Source(made, http, lambda: 0)
        try:
            return await source.read(document.query, start_ms, end_ms, document.step)
        finally:
            await source.close()

    stream = Stream(document, Limits(), born_ms=born_ms, live_after_ms=live_ms)
    judged = stream.step(asyncio.run(read()), 0)
    scores = {}
    for row, at, score in zip(
        judged.rows.rows, judged.rows.timestamps_ms, judged.scores.score, strict=True
    ):
        if at > live_ms and not np.isnan(score):
            scores.setdefault(judged.labels[row]["series"], {})[int(at)] = float(score)
    return scores, {a.id for a in judged.anomalies}


def compare(prometheus, program, name):
    """What was written equals, bit for bit, what the undisturbed run gives; nothing twice."""
    query = f'anomaly_score{{for="{name}"}}'
    position_ms = parse_timestamp(program.status(name)["position"])
    until(
        lambda: all(max(times) >= position_ms for times in prometheus.samples(query).values()),
        "the newest score in Prometheus",
    )
    expected, ids = undisturbed(prometheus, program, name)
    written = prometheus.samples(query)
    assert written.keys() == expected.keys() == {"a", "b", "c"}
    for series, scores in expected.items():
        got = {at: written[series][at] for at in scores if at in written[series]}
        assert got == scores, f"series {series}: {len(got)} of {len(scores)} scores"
        assert len(scores) > 15
    told = program.anomalies()
    assert {a["id"] for a in told} == ids
    assert len(told) == len(ids) >= 1
    with sqlite3.connect(program.folder / "data/records.sqlite") as store:
        revisions = store.execute("select revision from feed where revision is not null").fetchall()
    assert len(revisions) == len(set(revisions))


def test_killed_and_restarted_the_engine_goes_on_as_if_nothing_had_happened(
    prometheus, exporter, tmp_path
):
    program = Program(tmp_path / "engine", settings(prometheus))
    try:
        warm(program, "killed")
        born = program.status("killed")["live_since"]
        exporter.offset["a"] = 60.0
        until(lambda: program.anomalies(state="open"), "an open anomaly")
        until(
            lambda: "snapshot" in str(list((tmp_path / "engine/data").rglob("*.snapshot"))), "one"
        )
        time.sleep(3)
        program.kill()
        time.sleep(4)
        exporter.offset["a"] = 0.0
        restarted = time.time()
        program.start()
        until(lambda: program.status("killed")["state"] == "running", "running again", 15)
        print(f"running again {time.time() - restarted:.1f} s after the start")
        assert program.status("killed")["live_since"] == born
        assert program.status("killed")["warming"] == 0
        until(lambda: not program.anomalies(state="open"), "the close")
        program.kill()
        program.start()
        time.sleep(3)
        compare(prometheus, program, "killed")
        log = program.log_path.read_text()
        assert log.count('"with_state": true') == 2
    finally:
        program.stop()


def test_with_prometheus_away_for_a_minute_the_gap_is_caught_up(prometheus, exporter, tmp_path):
    program = Program(tmp_path / "engine", settings(prometheus))
    try:
        warm(program, "outage")
        exporter.offset["c"] = 60.0
        until(lambda: program.anomalies(state="open"), "an open anomaly")
        exporter.offset["c"] = 0.0
        prometheus.stop()
        until(lambda: program.status("outage")["state"] == "failed", "failed")
        health = httpx.get(f"{program.url}/health").json()
        assert health["status"] == "degraded"
        time.sleep(OUTAGE_SECONDS / 2)
        program.kill()
        program.start()
        time.sleep(OUTAGE_SECONDS / 2)
        prometheus.start()
        until(lambda: program.status("outage")["state"] == "running", "running again", 60)
        until(lambda: not program.anomalies(state="open"), "the close", 60)
        compare(prometheus, program, "outage")
        until(lambda: httpx.get(f"{program.url}/health").json()["status"] == "ok", "health")
    finally:
        program.stop()


def test_a_damaged_snapshot_is_skipped_with_a_warning(prometheus, tmp_path):
    program = Program(tmp_path / "engine", settings(prometheus))
    try:
        warm(program, "damaged")
        folder = tmp_path / "engine/data/snapshots"
        until(lambda: len(list(folder.glob("*.snapshot"))) >= 2, "two snapshots")
        program.kill()
        newest = max(folder.glob("*.snapshot"))
        newest.write_bytes(newest.read_bytes()[:-100])
        program.start()
        until(lambda: program.status("damaged")["state"] == "running", "running again", 15)
        log = program.log_path.read_text()
        assert "snapshot skipped" in log
        assert '"with_state": true' in log
    finally:
        program.stop()


def test_two_engines_never_share_a_storage_path(prometheus, tmp_path):
    program = Program(tmp_path / "engine", settings(prometheus))
    try:
        with pytest.raises(AssertionError, match="in use by another engine"):
            Program(tmp_path / "engine", settings(prometheus))
    finally:
        program.stop()


def test_a_detector_made_just_before_the_crash_is_still_there(prometheus, tmp_path):
    program = Program(tmp_path / "engine", settings(prometheus) | {"storage": {}})
    try:
        program.http.post("/detectors", json=detector(name="fresh"))
        until(lambda: program.status("fresh")["position"], "a position")
        live_since = program.status("fresh")["live_since"]
        program.kill()
        program.start()
        assert program.status("fresh")["live_since"] == live_since
        until(lambda: program.status("fresh")["series"] == 3, "its series")
    finally:
        program.stop()
