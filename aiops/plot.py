"""Pictures of judged series: values, what was expected, the band, the score, the anomalies."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from models.anomaly import Anomaly
from models.columns import Floats, Times
from models.errors import InvalidInput
from models.timestamps import format_timestamp

SERIES_MAX = 12
WIDTH, HEIGHT, DPI = 12.0, 4.2, 110
VALUE, BAND, SCORE, ANOMALY = "#1f4e79", "#9dc3e6", "#7f7f7f", "#d62728"


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One series as it is drawn, in order of time.

    times_ms: (n,). columns: (5, n) value, score, expected, lower, upper; NaN where there is none.
    """

    name: str
    times_ms: Times
    columns: Floats
    anomalies: list[Anomaly]

    @property
    def peak(self) -> float:
        score = self.columns[1]
        return float(np.nanmax(score)) if np.isfinite(score).any() else 0.0


def draw(path: Path, title: str, series: Sequence[Drawn]) -> int:
    """Write a picture of the series that scored highest; how many of them.

    path: ends in .png, or in .html for a page with a table of the anomalies.
    Raises InvalidInput for another ending, OSError when it cannot be written.
    """
    if path.suffix not in (".png", ".html"):
        raise InvalidInput(f"{str(path)!r}: a plot is a .png or an .html file")
    chosen = sorted(series, key=lambda one: -one.peak)[:SERIES_MAX]
    if path.suffix == ".png":
        path.write_bytes(_picture(chosen))
        return len(chosen)
    path.write_text(_page(title, chosen), encoding="utf-8")
    return len(chosen)


@rc_context({"date.converter": "concise"})
def _picture(series: Sequence[Drawn]) -> bytes:
    count = max(1, len(series))
    figure = Figure(figsize=(WIDTH, HEIGHT * count), dpi=DPI, layout="constrained")
    axes = figure.subplots(2 * count, 1, squeeze=False, height_ratios=[3, 1] * count)[:, 0]
    for k, one in enumerate(series):
        values, scores = axes[2 * k], axes[2 * k + 1]
        times = one.times_ms.astype("datetime64[ms]")
        value, score, expected, lower, upper = one.columns
        if np.isfinite(upper).any():
            values.fill_between(times, lower, upper, color=BAND, alpha=0.5, lw=0, label="band")
        if np.isfinite(expected).any():
            values.plot(times, expected, color=BAND, lw=0.8, label="expected")
        values.plot(times, value, color=VALUE, lw=0.9, label="value")
        scores.plot(times, score, color=SCORE, lw=0.8)
        scores.axhline(1.0, color=ANOMALY, lw=0.8, ls="--")
        for anomaly in one.anomalies:
            end_ms = anomaly.ended_at or int(one.times_ms[-1])
            span = np.array([anomaly.started_at, end_ms]).astype("datetime64[ms]")
            for axis in (values, scores):
                axis.axvspan(span[0], span[1], color=ANOMALY, alpha=0.2, lw=0)
                axis.axvline(span[0], color=ANOMALY, alpha=0.6, lw=0.8)
        values.set_title(one.name, loc="left", fontsize=9)
        values.legend(loc="upper left", fontsize=7, frameon=False)
        values.sharex(scores)
        values.tick_params(labelbottom=False)
        scores.set_ylabel("score", fontsize=8)
        scores.set_ylim(0, max(1.5, min(one.peak * 1.1, 20.0)))
    out = BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _page(title: str, series: Sequence[Drawn]) -> str:
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(title)}</title>",
        "<style>body{font:14px system-ui,sans-serif;margin:2rem auto;max-width:75rem;color:#222}",
        "img{width:100%}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #ddd}",
        "table{border-collapse:collapse}</style>",
        f"<h1>{escape(title)}</h1>",
    ]
    told = sorted((a for one in series for a in one.anomalies), key=lambda a: a.started_at)
    if told:
        parts.append("<table><tr><th>from<th>to<th>series<th>peak score<th>observed<th>expected")
        for anomaly in told:
            shown = anomaly.explanation
            cells = (
                format_timestamp(anomaly.started_at),
                format_timestamp(anomaly.ended_at) if anomaly.ended_at else "still open",
                ", ".join(f"{name}={value}" for name, value in anomaly.labels.items()),
                f"{anomaly.peak_score:.2f}",
                _text(shown.observed),
                _text(shown.expected),
            )
            parts.append("<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells))
        parts.append("</table>")
    else:
        parts.append("<p>No anomaly.</p>")
    for one in series:
        picture = base64.b64encode(_picture([one])).decode()
        parts.append(f'<img alt="{escape(one.name)}" src="data:image/png;base64,{picture}">')
    return "\n".join(parts)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
