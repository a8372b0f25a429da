"""How far a group's channels are from how they usually go together."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Field
from detectors.grouped import Grouped
from detectors.kernels.vectors import place
from detectors.surprised import check_ranges, check_surprise
from models.columns import Floats, RowBatch, Rows
from models.jit import borrow, kernel

FAR = 5.0
"""Deviations that a channel moves the covariance by at most."""


@dataclass(frozen=True, slots=True)
class GroupPcaParams:
    """Channels that part from how they usually go together."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    channels: int = 40
    """Channels of a group that are judged, 1 to 256, the first to come; a group takes
    16 * channels ** 2 bytes."""
    memory: int = 10_000
    """Instants that the covariance remembers, 10 to 1000000."""
    refit: int = 100
    """Instants between two looks for its principal components, 1 to 100000."""
    ridge: float = 0.01
    """Added to each component's variance, which is 1 on average: what is smaller hardly counts."""
    threshold: float = 4.0
    """Surprise that scores 1, in powers of ten: 3 is a distance that 1 in 1000 exceed."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    settle: int = 5_000
    """Instants before the tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Instants after a record within which only a higher one is news."""
    warmup: int = 50
    """Instants after the first components before the first score."""

    def __post_init__(self) -> None:
        check_ranges(self, channels=(1, 256), memory=(10, 1_000_000), refit=(1, 100_000))
        if not 0.0 < self.ridge < np.inf:
            raise ValueError(f"ridge must be above 0 and finite, got {self.ridge}")
        check_surprise(self)


@kernel
def whiten(covariance: Floats, ridge: float, out: Floats) -> None:
    """Fill in the symmetric root of the inverse of `covariance` + `ridge`, by its components."""
    variances, components = np.linalg.eigh(covariance)
    size = len(variances)
    for i in range(size):
        for j in range(size):
            out[i, j] = 0.0
    for k in range(size):
        weight = 1.0 / np.sqrt(max(variances[k], 0.0) + ridge)
        for i in range(size):
            for j in range(size):
                out[i, j] += weight * components[i, k] * components[j, k]


@kernel
def _distances(
    rows: Rows,
    values: Floats,
    seen: NDArray[np.int64],
    moments: Floats,
    places: Floats,
    instants: NDArray[np.int64],
    covariances: Floats,
    roots: Floats,
    memory: float,
    refit: int,
    ridge: float,
    out: Floats,
    shares: Floats,
) -> None:
    """Each instant's distance from the mean in deviations of the components, then learn it."""
    size = values.shape[1]
    for i in range(len(rows)):
        row = int(rows[i])
        point = borrow(places[row])
        if place(borrow(values[i]), borrow(seen[row]), borrow(moments[row]), point) == 0:
            continue
        count = int(instants[row])
        covariance, root = borrow(covariances[row]), borrow(roots[row])
        if count >= refit:
            total = 0.0
            for c in range(size):
                own = 0.0
                for d in range(size):
                    own += root[c, d] * point[d]
                shares[i, c] = own * own
                total += own * own
            out[i] = np.sqrt(total / size)
            for c in range(size):
                shares[i, c] /= max(total, 1e-300)
        weight = max(1.0 / (count + 1), 1.0 / memory)
        for c in range(size):
            x = min(max(point[c], -FAR), FAR)
            for d in range(size):
                y = min(max(point[d], -FAR), FAR)
                covariance[c, d] += weight * (x * y - covariance[c, d])
        instants[row] = count + 1
        if (count + 1) % refit == 0:
            whiten(covariance, ridge, root)


class GroupPca(Grouped):
    """Distance of a group's channels from their means, in deviations of their principal components.

    The squared distance (Mahalanobis', with a ridge) is a sum over channels of the point turned by
    the symmetric root of the inverse covariance: Garthwaite & Koch, Evaluating the contributions of
    individual variables to a quadratic form, 2016. Channels are standardised by slow moments; one
    without a sample stays where it was and fades to its mean. The distance is judged by the
    distances before (see `auto`). It has no band. Floor: constant channels are at distance 0, and
    any other is then a record.
    """

    kind: ClassVar[str] = "group_pca"
    Params = GroupPcaParams

    def model_fields(self) -> tuple[Field, ...]:
        square = (self.channels_max, self.channels_max)
        return (
            *self.point_fields(),
            Field("instants", np.int64),
            Field("covariance", np.float64, square),
            Field("root", np.float64, square),
        )

    def distances(self, batch: RowBatch, values: Floats, out: Floats, shares: Floats) -> None:
        params: Any = self.params
        _distances(
            batch.rows,
            values,
            self.array("seen_by_channel"),
            self.array("moments"),
            self.array("place"),
            self.array("instants"),
            self.array("covariance"),
            self.array("root"),
            params.memory,
            params.refit,
            params.ridge,
            out,
            shares,
        )
