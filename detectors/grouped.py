"""What kinds share that judge all channels of a group together, as one point an instant."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from detectors.base import Field
from detectors.surprised import JUDGED, Surprised
from models.columns import Floats, RowBatch, ScoreColumns

TOLD = 5
"""Channels that an explanation names."""


class Grouped(Surprised):
    """A kind that gives `model_fields` and `distances`, and has a parameter `channels`.

    A row is a group. Samples without channels are points of one channel, their value.
    """

    judges_groups: ClassVar[bool] = True

    @property
    def parts(self) -> tuple[str, ...]:
        """How the novelty was judged; what channels contributed comes behind."""
        return JUDGED

    @property
    def channels_max(self) -> int:
        channels: int = self.params.channels
        return channels

    @property
    def own_columns(self) -> int:
        return self.channels_max

    @abstractmethod
    def distances(self, batch: RowBatch, values: Floats, out: Floats, shares: Floats) -> None:
        """Fill in how unlike the past each point is, and each channel's share of that; then learn.

        values: (n, channels). out: (n,) and shares: (n, channels) hold NaN for unknown.
        """

    def point_fields(self) -> tuple[Field, ...]:
        """What makes points of the values of channels; see `kernels.vectors`."""
        channels = self.channels_max
        return (
            Field("seen_by_channel", np.int64, (channels,)),
            Field("moments", np.float64, (channels, 2)),
            Field("place", np.float64, (channels,)),
        )

    def novelty(self, batch: RowBatch) -> Floats:
        values = batch.channels
        if values is None:
            values = np.full((len(batch), self.channels_max), np.nan)
            values[:, 0] = batch.values
        told = np.full((len(batch), 1 + self.channels_max), np.nan)
        out, shares = np.full(len(batch), np.nan), np.full_like(values, np.nan)
        self.distances(batch, values, out, shares)
        told[:, 0], told[:, 1:] = out, shares
        return told

    def step(self, batch: RowBatch) -> ScoreColumns:
        """Judge each point; of the channels, name those that contributed most."""
        scores = super().step(batch)
        parts: Any = scores.parts
        judged, shares = parts[:, : len(JUDGED)], parts[:, len(JUDGED) :]
        largest = np.argsort(-shares, axis=1, kind="stable")[:, :TOLD].astype(np.int32)
        return replace(
            scores,
            parts=np.concatenate([judged, np.take_along_axis(shares, largest, axis=1)], axis=1),
            spoke=np.where(np.isnan(scores.score), -1, len(JUDGED)).astype(np.int8),
            channels=largest,
        )
