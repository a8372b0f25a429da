"""Figures with intervals, by a scorer that is loaded from where it is kept.

The scorer is a folder with `score.py` (`score_dataset`, `load_series`, `Scores`) and `metrics.py`
(`AlertPool`): its definitions count, nothing is computed here but the resampling of series.
"""

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

DRAWS = 200
RECALL = 0.7


@dataclass(frozen=True)
class Figure:
    """A figure, and where 95 of 100 resamplings of the series put it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def judge(scorer: Path, data: Path, out: Path, datasets: list[str]) -> dict[str, dict[str, Any]]:
    """By data set: VUS-PR, event F1, false alerts at 70 % recall, alerts at the default, NAB."""
    sys.path.insert(0, str(scorer))
    score: Any = import_module("score")
    metrics: Any = import_module("metrics")
    manifest = score.load_manifest(str(data))
    return {name: _figures(score, metrics, data, out, manifest, name) for name in datasets}


def _figures(
    score: Any, metrics: Any, data: Path, out: Path, manifest: Any, name: str
) -> dict[str, Any]:
    per_series: dict[str, Any] = {}
    result = score.score_dataset(str(data), manifest, str(out), name, 1.0, per_series=per_series)
    ranked = np.array([row["vus_pr"] for row in per_series[name]])
    pools = [_pool(score, metrics, data, out, row) for row in manifest if row["dataset"] == name]
    best = result["pooled"]["best_event_f1"]
    at = result["default_threshold"]
    figures: dict[str, Any] = {
        "series": result["n_series"],
        "vus_pr": _resampled(ranked, lambda chosen: float(ranked[chosen].mean())),
        "event_f1": _pooled(pools, best["threshold"], best["f1_event"], _f1),
        "false_alerts_at_70": _false_at_70(result, pools),
        "recall": at["event_recall"],
        "precision": at["alert_precision"],
        "alerts_on_normal": at["alerts_per_series_day_on_normal"],
    }
    if "nab" in result:
        figures["nab"] = {key: value["score"] for key, value in result["nab"].items()}
    return figures


def _pool(score: Any, metrics: Any, data: Path, out: Path, row: Any) -> Any:
    times, _, labels = score.load_series(str(data), row)
    scores = score.Scores(str(out), row["dataset"]).get(row["series_id"], times)
    first = row["eval_start"]
    return metrics.AlertPool([(times[first:], labels[first:], metrics.clean(scores[first:]))])


def _false_at_70(result: Any, pools: list[Any]) -> Figure:
    at = result["pooled"].get(f"recall{RECALL * 100:.0f}")
    if at is None:
        return Figure(np.nan, np.nan, np.nan)
    value = at["false_alerts_per_series_day"]
    return _pooled(pools, at["threshold"], value, lambda counts: counts[1] / counts[4])


def _pooled(pools: list[Any], threshold: float, value: float, reduce: Any) -> Figure:
    """A pooled figure at one threshold, its interval by resampling series at that threshold."""
    counts = np.array([_counts(pool, threshold) for pool in pools])
    return _resampled(counts, lambda chosen: reduce(counts[chosen].sum(axis=0)), value)


def _counts(pool: Any, threshold: float) -> tuple[float, float, float, float, float]:
    """Alerts, false ones, events, events hit, days."""
    at, events = pool.at(threshold), len(pool.emax)
    alerts = at["alerts_per_series_day"] * pool.days
    false = at["false_alerts_per_series_day"] * pool.days
    hit = at["event_recall"] * events if events else 0.0
    return alerts, false, float(events), hit, pool.days


def _f1(counts: np.ndarray[Any, Any]) -> float:
    alerts, false, events, hit, _ = counts
    if not (alerts > 0 and events > 0 and hit > 0):
        return 0.0
    precision, recall = (alerts - false) / alerts, hit / events
    return float(2 * precision * recall / (precision + recall))


def _resampled(rows: Any, reduce: Any, value: float | None = None) -> Figure:
    rng = np.random.default_rng(1)
    draws = [reduce(rng.integers(0, len(rows), len(rows))) for _ in range(DRAWS)]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    whole = reduce(np.arange(len(rows))) if value is None else value
    return Figure(float(whole), float(low), float(high))
