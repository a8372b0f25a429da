"""What a sink is, and the output series they share."""

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from aiops.shard import Judged
from models.columns import Flags, Floats, Rows
from models.detector import Detector
from models.labels import METRIC_NAME, Labels
from models.words import Bytes

FAMILIES = ("anomaly_score", "y", "yhat", "yhat_lower", "yhat_upper")
"""The output series, as vmanomaly names them, so that dashboards and rules made for it work."""
_OWN_LABELS = ("for", "model_alias")
_FOREIGN = re.compile(r"[^a-zA-Z0-9_]")


class Packed(NamedTuple):
    """Encoded labels of many rows, ready for kernels.

    rows: (k,) ascending. place: where each row stands among them. texts: all parts of all rows,
    one behind the other, and eight bytes more; edges: where each begins, and the end.
    """

    rows: Rows
    place: Rows
    texts: Bytes
    edges: NDArray[np.int64]


class Sink(Protocol):
    """Takes what was judged; must not wait. What it cannot take it drops and counts."""

    def take(self, judged: Judged) -> None:
        """One batch."""
        ...

    def end(self, detector: str, at_ms: int) -> None:
        """This detector's series end; `at_ms` is later than any of their samples."""
        ...


def output_labels(detector: Detector, labels: Labels) -> dict[str, str]:
    """The labels of an output series: those of the input without its name, and whose it is.

    A label that the engine writes itself moves to `exported_…`, as Prometheus does in a scrape;
    characters that the text format does not know become underscores.
    """
    own = {"for": detector.name, "model_alias": detector.model.kind}
    inputs = {
        f"exported_{name}" if name in _OWN_LABELS else _FOREIGN.sub("_", name): value
        for name, value in labels.items()
        if name != METRIC_NAME
    }
    return inputs | detector.labels | own


def output_columns(judged: Judged) -> Floats:
    """(5, n) float64: the FAMILIES' values, sample by sample; NaN where there is none to tell."""
    scores = judged.scores
    columns = np.stack(
        [scores.score, judged.rows.values, scores.expected, scores.lower, scores.upper]
    )
    columns[:, ~judged.live] = np.nan
    return columns


class OutputSeries:
    """One detector's output series: their encoded labels by row, each encoded once while it lives.

    encode: labels of an output series to a fixed number of parts.
    """

    def __init__(self, encode: Callable[[dict[str, str]], tuple[bytes, ...]]) -> None:
        self.encoded: dict[int, tuple[bytes, ...]] = {}
        self._encode = encode
        self._known: Flags = np.zeros(0, np.bool_)
        self._packed: Packed | None = None

    def add(self, judged: Judged) -> None:
        """Encode the rows that are new since they were last removed."""
        if len(judged.labels) > len(self._known):
            more = np.zeros(2 * len(judged.labels) - len(self._known), np.bool_)
            self._known = np.append(self._known, more)
        fresh = judged.rows.rows[judged.live & ~self._known[judged.rows.rows]]
        for row in np.unique(fresh).tolist():
            labels = judged.labels[row]
            assert labels is not None
            self.encoded[row] = self._encode(output_labels(judged.detector, labels))
            self._known[row] = True
            self._packed = None

    def end(self, judged: Judged) -> list[tuple[bytes, ...]]:
        """Forget the rows that fell quiet; their encoded labels.

        A series that ends before it was seen here, for the process is young, is encoded to say so.
        """
        if judged.quiet:
            self._known[[row for row in judged.quiet if row < len(self._known)]] = False
            self._packed = None
        return [
            self.encoded.pop(row)
            if row in self.encoded
            else self._encode(output_labels(judged.detector, labels))
            for row, labels in judged.quiet.items()
        ]

    def packed(self) -> Packed:
        """All encoded labels, packed once for as long as the rows are the same."""
        if self._packed is None:
            rows = sorted(self.encoded)
            texts = [part for row in rows for part in self.encoded[row]]
            edges = np.zeros(len(texts) + 1, np.int64)
            np.cumsum([len(text) for text in texts], out=edges[1:])
            place = np.full(len(self._known), -1, np.int32)
            place[rows] = np.arange(len(rows))
            joined = np.frombuffer(b"".join([*texts, bytes(8)]), np.uint8)
            self._packed = Packed(np.array(rows, np.int32), place, joined, edges)
        return self._packed
