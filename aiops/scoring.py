"""Runs a detector over rows, then applies the policy: direction, minimum deviation, missing."""

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from detectors.base import Detector
from detectors.catalog import kinds
from detectors.kernels.gaps import count_missing
from detectors.kernels.resets import absorb
from models.columns import Floats, RowBatch, Rows, ScoreColumns
from models.detector import Detector as Document
from models.durations import format_duration
from models.errors import FieldFault, InvalidInput

_making = Lock()
_adapters: dict[type[Detector], TypeAdapter[Any]] = {}


def adapter(kind: type[Detector]) -> TypeAdapter[Any]:
    """What reads a kind's parameters, made once.

    One at a time: docstrings are read by parsing the source, and in CPython 3.11 that was seen to
    fail in a thread ("AST constructor recursion depth mismatch"): it is done as rarely as can be.
    """
    with _making:
        if kind not in _adapters:
            _adapters[kind] = TypeAdapter(kind.Params)
        return _adapters[kind]


def build_detector(document: Document) -> Detector:
    """The detector that a document's model describes.

    Raises InvalidInput that names what is wrong: unknown kind, unknown or impossible value, no
    labels that name a group where the kind judges groups.
    """
    model, step_ms = document.model, document.step
    kind = kinds().get(model.kind)
    if kind is None:
        known = ", ".join(kinds())
        raise InvalidInput(
            f"unknown kind {model.kind!r}",
            (FieldFault("/model/kind", f"unknown kind {model.kind!r}; known: {known}"),),
        )
    if kind.judges_groups and document.group_by is None:
        detail = f"model {model.kind!r} judges groups; say which labels name one"
        raise InvalidInput(detail, (FieldFault("/group_by", detail),))
    try:
        params = adapter(kind).validate_python(model.parameters)
        return kind(params, step_ms)
    except ValidationError as error:
        faults = tuple(
            FieldFault("/".join(("/model", *map(str, fault["loc"]))), _sentence(fault["msg"]))
            for fault in error.errors(include_url=False)
        )
        raise InvalidInput(f"model {model.kind!r}: {faults[0].detail}", faults) from error
    except ValueError as error:
        fault = FieldFault("/model", str(error))
        raise InvalidInput(
            f"model {model.kind!r} at step {format_duration(step_ms)}: {error}", (fault,)
        ) from error


class Scoring:
    """One detector with its policy over the rows of one table. Raises as `build_detector`."""

    def __init__(self, document: Document) -> None:
        self.policy = document.policy
        self.detector = build_detector(document)
        self.model = {"kind": document.model.kind} | self.detector.described()
        self._missed: Rows = np.zeros(0, np.int32)
        self._last: Floats = np.zeros(0)
        self._rises: Rows = np.zeros(0, np.int32)
        self._lost: Floats = np.zeros(0)
        self._lossy = False

    def grow(self, rows: int) -> None:
        """Make room for rows below `rows`."""
        self.detector.grow(rows)
        more = max(0, rows - len(self._missed))
        if more:
            self._missed = np.append(self._missed, np.zeros(more, np.int32))
            self._last = np.append(self._last, np.zeros(more))
            self._rises = np.append(self._rises, np.zeros(more, np.int32))
            self._lost = np.append(self._lost, np.zeros(more))

    def forget(self, rows: Rows) -> None:
        """Make these rows as if they had never seen a sample."""
        self.detector.forget(rows)
        for array in (self._missed, self._last, self._rises, self._lost):
            array[rows] = 0

    def step(self, rows: RowBatch) -> ScoreColumns:
        """Score, then learn; the score is what the policy lets through."""
        scores = self._judge(rows)
        policy = self.policy
        least_matters = policy.min_deviation > 0 or policy.min_relative_deviation > 0
        if policy.direction == "both" and not least_matters and policy.missing != "alert":
            return scores
        score = scores.score
        # A stale marker is a signalling NaN, with which arithmetic is "invalid".
        with np.errstate(invalid="ignore"):
            deviation = rows.values - scores.expected
            if policy.direction == "above":
                score = np.where(deviation < 0, 0.0, score)
            elif policy.direction == "below":
                score = np.where(deviation > 0, 0.0, score)
            if least_matters:
                least = np.maximum(
                    policy.min_deviation, policy.min_relative_deviation * np.abs(scores.expected)
                )
                score = np.where(np.abs(deviation) < least, 0.0, score)
        # A suppressed score must not turn "no judgement" into "normal".
        score = np.where(np.isnan(scores.score), np.nan, score)
        if policy.missing == "alert":
            missed = np.empty(len(rows))
            count_missing(rows.rows, rows.missing, self._missed, missed)
            score = np.where(rows.missing, missed, score)
        return replace(scores, score=score)

    def _judge(self, rows: RowBatch) -> ScoreColumns:
        """The detector's answer; a counter that started again is shown to it as if it went on."""
        if not self.detector.mends_resets:
            return self.detector.step(rows)
        added = np.empty(len(rows))
        memory = self._last, self._rises, self._lost
        self._lossy = absorb(rows.rows, rows.values, *memory, self._lossy, added)
        if not self._lossy:
            return self.detector.step(rows)
        with np.errstate(invalid="ignore"):
            scores = self.detector.step(replace(rows, values=rows.values + added))
            return replace(
                scores,
                expected=scores.expected - added,
                lower=scores.lower - added,
                upper=scores.upper - added,
            )

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs."""
        return {f"model/{k}": v for k, v in self.detector.state().items()} | {
            "missed": self._missed.copy(),
            "last": self._last.copy(),
            "rises": self._rises.copy(),
            "lost": self._lost.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave. Raises ValueError when it does not fit the parameters."""
        prefix = "model/"
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        self.detector.restore(own)
        self._missed = state["missed"].copy()
        self._last, self._rises, self._lost = (
            state[name].copy() for name in ("last", "rises", "lost")
        )
        self._lossy = bool(self._lost.any())


def _sentence(message: str) -> str:
    """Pydantic's message without its preamble."""
    return message.removeprefix("Value error, ")
