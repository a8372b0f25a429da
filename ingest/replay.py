"""A file of samples as a source: recorded series through the same road as live ones.

Two layouts: a table of samples (`timestamp`, `value`, and a column for each label), or a column of
values for each series, named by it. Values are read at a detector's instants as Prometheus would:
the newest sample of the step before.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ingest.base import Source
from models.columns import Floats, Rows, SampleBatch, Times
from models.errors import InvalidInput, QueryRejected
from models.labels import METRIC_NAME, Labels, Selector, parse_selector
from models.source import ReplaySource, SourceHealth

POINTS_MAX = 100_000
EVERYTHING = "{}"
TIMESTAMP, VALUE = "timestamp", "value"
SECONDS_BELOW = 100_000_000_000
"""Whole numbers below this are seconds, others milliseconds: the year 5138 against 1973."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Every sample of a file, in order of time, then series."""

    labels: tuple[Labels, ...]
    series: Rows
    timestamps_ms: Times
    values: Floats


class Replay(Source):
    """A file with a past; it is read once, when it is first asked for."""

    resumes = True
    points_max = POINTS_MAX

    def __init__(self, document: ReplaySource, now_ms: Callable[[], int]) -> None:
        super().__init__(document.name)
        self._document = document
        self._now_ms = now_ms
        self._born_ms = now_ms()
        self._table: Table | None = None
        self._loading = asyncio.Lock()
        self._chosen: dict[str, Rows] = {}

    async def read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> SampleBatch:
        table = await self._loaded()
        rows = self._rows(table, query)
        first, last = np.searchsorted(table.timestamps_ms, [start_ms - step_ms + 1, end_ms + 1])
        series = rows[table.series[first:last]]
        kept = series >= 0
        times = table.timestamps_ms[first:last][kept]
        instants = -(-times // step_ms) * step_ms
        series, values = series[kept], table.values[first:last][kept]
        order = np.lexsort((times, series, instants))
        series, instants, values = series[order], instants[order], values[order]
        newest = np.ones(len(series), np.bool_)
        newest[:-1] = (series[1:] != series[:-1]) | (instants[1:] != instants[:-1])
        return SampleBatch(
            labels=tuple(
                labels for labels, row in zip(table.labels, rows, strict=True) if row >= 0
            ),
            series=series[newest],
            timestamps_ms=instants[newest],
            values=values[newest],
            start_ms=start_ms,
            end_ms=end_ms,
            step_ms=step_ms,
            received_ms=self._now_ms(),
        )

    async def check(self, query: str) -> None:
        _selector(query)

    async def health(self) -> SourceHealth:
        error: str | None = None
        try:
            await self._loaded()
        except QueryRejected as failure:
            error = failure.detail
        return SourceHealth(
            name=self.name,
            type="replay",
            reachable=error is None,
            error=error,
            requests_total=0,
            retries_total=0,
            failures_total=0,
        )

    async def close(self) -> None: ...

    async def _loaded(self) -> Table:
        async with self._loading:
            if self._table is None:
                try:
                    table = await asyncio.to_thread(read_table, Path(self._document.path))
                except InvalidInput as error:
                    raise QueryRejected(error.detail) from error
                times = table.timestamps_ms
                if self._document.play != "recorded" and len(times):
                    edge = -1 if self._document.play == "history" else 0
                    times += self._born_ms - int(times[edge])
                self._table = table
        return self._table

    def _rows(self, table: Table, query: str) -> Rows:
        """By series of the file, its place among those that the query selects, or -1."""
        rows = self._chosen.get(query)
        if rows is None:
            selector = _selector(query)
            wanted = np.array(
                [selector is None or selector.matches(labels) for labels in table.labels], np.bool_
            )
            rows = np.where(wanted, np.cumsum(wanted) - 1, -1).astype(np.int32)
            self._chosen[query] = rows
        return rows


def _selector(query: str) -> Selector | None:
    """What the query selects; None for `{}`, all of the file. Raises QueryRejected."""
    if query.strip() == EVERYTHING:
        return None
    try:
        return parse_selector(query)
    except ValueError as error:
        raise QueryRejected(str(error)) from error


def read_table(path: Path) -> Table:
    """The samples of a CSV or Parquet file. Raises InvalidInput that says what is wrong with it."""
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"{str(path)!r} cannot be read: {error}") from error
    if TIMESTAMP not in frame.columns:
        raise InvalidInput(f"{str(path)!r} has no column {TIMESTAMP!r}; it has {frame.columns}")
    frame = frame.with_columns(_milliseconds(frame[TIMESTAMP], path)).drop_nulls(TIMESTAMP)
    if VALUE in frame.columns:
        names = [name for name in frame.columns if name not in (TIMESTAMP, VALUE)]
    else:
        frame = frame.unpivot(
            index=TIMESTAMP, variable_name=METRIC_NAME, value_name=VALUE
        ).drop_nulls(VALUE)
        names = [METRIC_NAME]
    try:
        values = frame[VALUE].cast(pl.Float64)
        groups = frame.select(pl.col(names).cast(pl.String).fill_null(""))
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{str(path)!r}: a value is not a number: {error}") from error
    keys = groups.unique(maintain_order=True).with_row_index("__row__") if names else None
    series = np.zeros(len(frame), np.int32)
    labels: tuple[Labels, ...] = (Labels({METRIC_NAME: path.stem}),)
    if keys is not None:
        joined = groups.join(keys, on=names, how="left", maintain_order="left")
        series = joined["__row__"].to_numpy().astype(np.int32)
        labels = tuple(Labels(dict(zip(names, row, strict=True))) for row in keys[names].rows())
    times = frame[TIMESTAMP].to_numpy().astype(np.int64)
    order = np.lexsort((series, times))
    return Table(labels, series[order], times[order], values.to_numpy()[order])


def _milliseconds(column: pl.Series, path: Path) -> pl.Series:
    try:
        if column.dtype.is_integer() or column.dtype.is_float():
            largest = column.max()
            seconds = isinstance(largest, int | float) and largest < SECONDS_BELOW
            scaled = column.cast(pl.Float64) * 1000 if seconds else column
            return scaled.round(0).cast(pl.Int64) if seconds else scaled.cast(pl.Int64)
        if column.dtype == pl.String:
            column = column.str.to_datetime(time_unit="ms", time_zone="UTC")
        return column.dt.epoch("ms")
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(
            f"{str(path)!r}: column {TIMESTAMP!r} is neither a number nor RFC 3339: {error}"
        ) from error
