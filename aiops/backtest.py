"""What a detector would have said in a stretch of the past, and how that differs from what was."""

from typing import Any

from aiops.shard import Judged
from models.anomaly import Anomaly
from models.timestamps import format_timestamp

ANOMALIES_MAX = 1_000
"""Anomalies that a result holds, the highest; all are counted."""
DAY_MS = 86_400_000


class Findings:
    """Gathers a backtest's anomalies as it goes."""

    def __init__(self) -> None:
        self.samples = 0
        self._told: dict[str, Anomaly] = {}
        self._series = 0

    def add(self, judged: Judged) -> None:
        """What one window brought."""
        self.samples += len(judged.rows)
        self._series = max(self._series, len(judged.labels))
        for anomaly in judged.anomalies:
            self._told[anomaly.id] = anomaly

    def result(
        self, start_ms: int, end_ms: int, running: dict[str, Anomaly], known_until_ms: int
    ) -> dict[str, Any]:
        """As the job tells it.

        running: the anomalies that the running detector told in this time, by id. known_until_ms:
        how far it has come.
        """
        days = (end_ms - start_ms) / DAY_MS
        found = sorted(self._told.values(), key=lambda anomaly: -anomaly.peak_score)
        told, was = set(self._told), set(running)
        per_day: dict[str, int] = {}
        for anomaly in self._told.values():
            day = format_timestamp(anomaly.started_at)[:10]
            per_day[day] = per_day.get(day, 0) + 1
        return {
            "series": self._series,
            "samples": self.samples,
            "days": days,
            "anomalies_total": len(found),
            "alerts_per_day": len(found) / days,
            "by_day": dict(sorted(per_day.items())),
            "changed": {
                "same": len(told & was),
                "only_here": sorted(told - was)[:ANOMALIES_MAX],
                "only_running": sorted(was - told)[:ANOMALIES_MAX],
                "running_until": format_timestamp(known_until_ms) if known_until_ms else None,
            },
            "anomalies": [anomaly.model_dump(mode="json") for anomaly in found[:ANOMALIES_MAX]],
        }
