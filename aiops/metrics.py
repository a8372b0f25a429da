"""The engine's own `/metrics`, read from the counters that the parts keep anyway."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from aiops import __version__
from models.detector import State

if TYPE_CHECKING:
    from aiops.app import Engine


class EngineMetrics(Collector):
    """Metrics with the prefix `aiops_`, base units, counters in `_total`."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._families: list[Metric] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def render(self) -> bytes:
        """The page in text exposition format; the counters are read here, in their own thread."""
        self._families = list(self._read())
        return await asyncio.to_thread(generate_latest, self._registry)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        return self._families

    def _read(self) -> Iterable[Metric]:
        yield _gauge(
            "aiops_build_info", "Version of the engine.", ("version",), [((__version__,), 1)]
        )
        yield from self._detectors()
        yield from self._road()
        yield from self._outputs()
        yield from self._sources()
        yield from self._logs()

    def _detectors(self) -> Iterable[Metric]:
        statuses = self._engine.registry.statuses()
        yield _gauge(
            "aiops_detector_state",
            "1 for the state that a detector is in, 0 for the others.",
            ("detector", "state"),
            [((s.name, state), float(s.state is state)) for s in statuses for state in State],
        )
        yield _gauge(
            "aiops_detector_series",
            "Series with a row.",
            ("detector",),
            [((s.name,), s.series) for s in statuses],
        )
        yield _gauge(
            "aiops_detector_lag_seconds",
            "Distance of the newest judged instant from now.",
            ("detector",),
            [((s.name,), s.lag_seconds) for s in statuses if s.lag_seconds is not None],
        )
        yield _gauge(
            "aiops_anomalies_open",
            "Anomalies open now.",
            ("detector",),
            [((s.name,), s.anomalies_open) for s in statuses],
        )
        yield _counter(
            "aiops_detector_samples",
            "Samples judged or learned.",
            ("detector",),
            [((s.name,), s.samples_total) for s in statuses],
        )
        yield _counter(
            "aiops_dropped_samples",
            "Samples that were late, duplicate, or of a series beyond the limit.",
            ("detector", "reason"),
            [
                ((name, reason), count)
                for name, stream in self._engine.shard.streams.items()
                for reason, count in (
                    ("late", stream.series.counters.late),
                    ("duplicate", stream.series.counters.duplicate),
                    ("limit", stream.series.counters.refused),
                )
            ],
        )
        yield _counter(
            "aiops_evicted_series",
            "Series forgotten after being idle.",
            ("detector",),
            [
                ((name,), stream.series.counters.evicted)
                for name, stream in self._engine.shard.streams.items()
            ],
        )

    def _road(self) -> Iterable[Metric]:
        counters = self._engine.pipeline.counters
        snapshots = self._engine.snapshots.counters
        yield _plain("aiops_batches", "Batches judged.", counters.batches)
        yield _plain(
            "aiops_samples", "Samples judged or learned by this process.", counters.samples
        )
        yield _plain("aiops_step_seconds", "Time spent judging.", counters.step_seconds)
        yield _plain("aiops_anomalies", "Anomalies opened.", counters.anomalies)
        yield _plain("aiops_store_failures", "Writes that had to wait.", counters.store_failures)
        yield GaugeMetricFamily(
            "aiops_queue_samples", "Samples waiting to be judged.", self._engine.batcher.samples
        )
        yield _plain("aiops_snapshots", "Snapshots written.", snapshots.written)
        yield _plain("aiops_snapshot_failures", "Snapshots that failed.", snapshots.failed)
        yield GaugeMetricFamily("aiops_snapshot_size_bytes", "Newest snapshot.", snapshots.size)
        yield GaugeMetricFamily(
            "aiops_snapshot_timestamp_seconds",
            "When it was taken.",
            (snapshots.taken_ms or 0) / 1000,
        )
        yield _counter(
            "aiops_task_restarts",
            "Tasks that broke and were started again.",
            ("task",),
            [((name,), count) for name, count in self._engine.supervisor.restarts.items()],
        )

    def _outputs(self) -> Iterable[Metric]:
        feed = self._engine.feed
        yield GaugeMetricFamily("aiops_feed_clients", "Open feed connections.", feed.readers)
        yield _plain("aiops_feed_messages", "Feed messages.", feed.counters.published)
        yield _plain(
            "aiops_feed_slow_clients", "Clients cut off as too slow.", feed.counters.slow_readers
        )
        writers = self._engine.remote_writes
        yield _gauge(
            "aiops_remote_write_pending_samples",
            "Samples not acknowledged.",
            ("url",),
            [((w.url,), w.pending) for w in writers],
        )
        yield _counter(
            "aiops_remote_write_samples",
            "Samples by what became of them.",
            ("url", "outcome"),
            [
                ((w.url, outcome), count)
                for w in writers
                for outcome, count in (
                    ("sent", w.counters.sent),
                    ("dropped", w.counters.dropped),
                    ("refused", w.counters.refused),
                )
            ],
        )
        yield _counter(
            "aiops_remote_write_retries",
            "Requests tried again.",
            ("url",),
            [((w.url,), w.counters.retries) for w in writers],
        )

    def _sources(self) -> Iterable[Metric]:
        counters = self._engine.sources.counters()
        for name, text, pick in (
            ("aiops_source_requests", "Requests, retries included.", "requests"),
            ("aiops_source_retries", "Requests tried again.", "retries"),
            ("aiops_source_failures", "Requests that failed after all retries.", "failures"),
            ("aiops_source_unusual_answers", "Answers read by the slower way.", "unusual"),
            ("aiops_source_held_requests", "Requests not made: the last ones failed.", "held"),
            ("aiops_source_halved_windows", "Windows too large for one answer.", "halved"),
        ):
            rows = [((source,), getattr(c, pick)) for source, c in counters.items()]
            yield _counter(name, text, ("source",), rows)
        opened = self._engine.sources.breakers_opened()
        yield _counter(
            "aiops_source_breaker_opened",
            "Times that requests were held back.",
            ("source",),
            [((source,), count) for source, count in opened.items()],
        )
        reads = self._engine.sources.read_counters()
        yield _counter(
            "aiops_source_reads",
            "Windows, by whether they were read or shared.",
            ("source", "outcome"),
            [
                ((source, outcome), count)
                for source, c in reads.items()
                for outcome, count in (("read", c.reads), ("shared", c.shared))
            ],
        )
        intake = self._engine.sources.intake_counters()
        for name, text, pick in (
            ("aiops_intake_requests", "Pushes.", "requests"),
            ("aiops_intake_refused", "Pushes that could not be read.", "refused"),
            ("aiops_intake_full", "Pushes sent back for want of room.", "full"),
            ("aiops_intake_samples", "Samples or lines taken.", "samples"),
            ("aiops_intake_late", "Samples or lines behind what was read already.", "late"),
        ):
            rows = [((source,), getattr(c, pick)) for source, c in intake.items()]
            yield _counter(name, text, ("source",), rows)
        lines = self._engine.sources.line_counters()
        yield _counter(
            "aiops_source_lines",
            "Log lines by what became of them: read; repeated on the next page; late, behind what "
            "was read; lost, nanoseconds with more lines than a page.",
            ("source", "outcome"),
            [
                ((source, outcome), count)
                for source, c in lines.items()
                for outcome, count in (
                    ("read", c.lines),
                    ("repeated", c.repeated),
                    ("late", c.late),
                    ("lost", c.lost),
                )
            ],
        )

    def _logs(self) -> Iterable[Metric]:
        series = {
            name: stream.lines
            for name, stream in self._engine.shard.streams.items()
            if stream.lines is not None
        }
        rows: dict[tuple[str, str], list[Row]] = {}
        for name, own in series.items():
            templates = own.templates.counters
            for family, text, count in (
                ("lines", "Lines counted.", own.counters.lines),
                ("lines_cut", "Lines read in part.", own.counters.cut),
                ("lines_other", "Lines of the template `other`.", templates.other),
                ("templates_new", "New templates told.", own.counters.new),
                ("templates_merged", "Templates that became one.", templates.merged),
                ("templates_evicted", "Templates forgotten for want of room.", templates.evicted),
            ):
                rows.setdefault((family, text), []).append(((name,), count))
        for (family, text), counts in rows.items():
            yield _counter(f"aiops_log_{family}", text, ("detector",), counts)


Row = tuple[tuple[str, ...], float]


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: Sequence[Row]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], rows: Sequence[Row]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _plain(name: str, text: str, number: float) -> Metric:
    return CounterMetricFamily(name, text, value=number)
