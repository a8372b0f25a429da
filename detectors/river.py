"""River: any anomaly detector of the river package, one instance a series, in plain Python."""

import inspect
import io
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Field
from detectors.kernels.points import place
from detectors.surprised import Surprised, check_ranges, check_surprise
from models.columns import Floats, RowBatch, Rows

VALUE_MAX = 1e30
_SAFE = {
    "builtins": {"set", "frozenset", "complex", "slice", "range", "tuple", "object"},
    "collections": {"deque", "defaultdict", "OrderedDict", "Counter"},
    "copyreg": {"_reconstructor"},
    "functools": {"partial"},
    "random": {"Random"},
    "numpy": {"ndarray", "dtype"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.random._pickle": {"__generator_ctor", "__bit_generator_ctor", "__randomstate_ctor"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64"},
    "numpy.random.bit_generator": {"SeedSequence", "__pyx_unpickle_SeedSequence"},
}
"""What instances of river's detectors hold beside river's own classes."""


@dataclass(frozen=True, slots=True)
class RiverParams:
    """A detector of river; for trying out, at some ten thousand samples a second."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    detector: str = "HalfSpaceTrees"
    """The name of a class in `river.anomaly`."""
    parameters: dict[str, Any] | None = None
    """What it is made with; a `seed` is 1 where it takes one and none is given."""
    lags: int = 2
    """The last samples that make up a point, 1 to 32, standardised and squashed to 0 … 1."""
    threshold: float = 4.0
    """Surprise that scores 1, in powers of ten: 3 is a score of river's that 1 in 1000 exceed."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    settle: int = 5_000
    """Samples before the tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Samples after a record within which only a higher one is news."""
    warmup: int = 50
    """Samples of a series before its first score."""

    def __post_init__(self) -> None:
        check_ranges(self, lags=(1, 32))
        known = [name for name, member in vars(_anomaly()).items() if _usable(member)]
        if self.detector not in known:
            raise ValueError(f"detector must be one of {', '.join(known)}, got {self.detector!r}")
        try:
            self.make()
        except (TypeError, ValueError) as error:
            raise ValueError(f"parameters of {self.detector}: {error}") from error
        check_surprise(self)

    def make(self) -> Any:
        """An instance that has seen nothing."""
        made = getattr(_anomaly(), self.detector)
        takes_seed = "seed" in inspect.signature(made).parameters
        return made(**({"seed": 1} if takes_seed else {}) | (self.parameters or {}))


def _anomaly() -> ModuleType:
    """River's detectors; they take a second to import, and few need them."""
    import river.anomaly

    return river.anomaly


def _usable(member: Any) -> bool:
    """Whether it is a detector that can be made without another one inside."""
    from river.base import AnomalyDetector, SupervisedAnomalyDetector

    kinds = AnomalyDetector, SupervisedAnomalyDetector
    if not (inspect.isclass(member) and issubclass(member, kinds)):
        return False
    needed = inspect.signature(member).parameters.values()
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in needed
    )


class River(Surprised):
    """A detector of the river package for each series, its score judged by the scores before it.

    A point is the last samples, standardised by a slow mean and deviation and squashed to 0 … 1;
    supervised detectors are given the value itself. A score that is no real number is no judgement.
    It runs in plain Python: expect 5,000 to 50,000 samples a second. It has no band. Floor: that of
    the detector; a series at rest scores what it always does.
    """

    kind: ClassVar[str] = "river"
    compiled: ClassVar[bool] = False
    Params = RiverParams

    def __init__(self, params: Any, step_ms: int) -> None:
        from river.base import SupervisedAnomalyDetector

        self._models: dict[int, Any] = {}
        self._supervised = isinstance(params.make(), SupervisedAnomalyDetector)
        super().__init__(params, step_ms)

    def model_fields(self) -> tuple[Field, ...]:
        return (
            Field("moments", np.float64, (2,)),
            Field("points", np.float64, (self.params.lags,), 0.5),
            Field("seen", np.int64),
        )

    def novelty(self, batch: RowBatch) -> Floats:
        out = np.full(len(batch), np.nan)
        for i, (row, x) in enumerate(zip(batch.rows.tolist(), batch.values.tolist(), strict=True)):
            if not abs(x) <= VALUE_MAX:
                continue
            model = self._models.get(row)
            if model is None:
                model = self._models[row] = self.params.make()
            out[i] = self._ask(model, row, x)
        return out

    def forget(self, rows: Rows) -> None:
        super().forget(rows)
        for row in rows.tolist():
            self._models.pop(row, None)

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays by row, and each row's instance as bytes: `edges` says where each one begins."""
        parts = [
            pickle.dumps(self._models[row]) if row in self._models else b""
            for row in range(self.capacity)
        ]
        edges = np.cumsum([0, *map(len, parts)])
        whole = np.frombuffer(b"".join(parts), np.uint8)
        return super().state() | {"instances": whole, "edges": edges.astype(np.int64)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave; nothing but river's own classes is made of it."""
        for name in ("instances", "edges"):
            if name not in state:
                raise ValueError(f"river: saved state does not fit field {name!r}")
        super().restore({k: v for k, v in state.items() if k not in ("instances", "edges")})
        edges = state["edges"].tolist()
        if len(edges) != self.capacity + 1:
            raise ValueError("river: saved arrays differ in their number of rows")
        whole = state["instances"].tobytes()
        self._models = {
            row: _Reader(io.BytesIO(whole[edges[row] : edges[row + 1]])).load()
            for row in range(self.capacity)
            if edges[row + 1] > edges[row]
        }

    def _ask(self, model: Any, row: int, x: float) -> float:
        """The score of a sample, 0 or more, NaN for none; then it is learned."""
        point = self._point(row, x)
        if self._supervised:
            score = model.score_one({}, x)
            model.learn_one({}, x)
        else:
            score = model.score_one(point)
            model.learn_one(point)
        real = isinstance(score, int | float) and math.isfinite(score)
        return max(float(score), 0.0) if real else math.nan

    def _point(self, row: int, x: float) -> dict[int, float]:
        count, point = int(self.array("seen")[row]), self.array("points")[row]
        place(x, count, self.array("moments")[row], point)
        self.array("seen")[row] = count + 1
        return dict(enumerate(point.tolist()))


class _Reader(pickle.Unpickler):
    """Reads instances; a version brought in from elsewhere must not name what it likes."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("river.") or name in _SAFE.get(module, ()):
            return super().find_class(module, name)
        raise ValueError(f"river: saved state holds {module}.{name}, which is no detector's")
