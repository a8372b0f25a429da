"""Reads and writes records; every call is one transaction.

The calls block, so the engine makes them in a thread. SQLite runs in WAL mode and syncs at each
commit, for what was told to a reader must still be known after a crash.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    and_,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from aiops.store import tables
from models.anomaly import Anomaly, AnomalyFilter
from models.detector import Detector
from models.errors import InvalidInput, StoreUnavailable
from models.job import Job
from models.source import Source, parse_source

PAGE_READ = 500
BUSY_MS = 10_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A detector as it was registered.

    from_file: the settings file owns it. born_ms: when it was made, or made anew; its history lies
    before. live_after_ms: samples after this instant are told; a restart by hand moves it.
    """

    document: Detector
    from_file: bool
    born_ms: int
    live_after_ms: int


@dataclass(frozen=True, slots=True)
class FeedMessage:
    """One message of the feed, in the order in which it was first told."""

    cursor: int
    topic: str
    data: dict[str, Any]


class Store:
    """One database. Raises StoreUnavailable when it refuses; InvalidInput for a foreign one."""

    def __init__(self, url: str) -> None:
        self._engine = _open(url)
        try:
            self.feed_id = self._prepare()
        except (StoreUnavailable, InvalidInput):
            self.close()
            raise

    def close(self) -> None:
        """End connections."""
        self._engine.dispose()

    def detectors(self) -> list[Registered]:
        """Every registered detector, by name."""
        with self._transaction() as connection:
            rows = connection.execute(select(tables.detectors).order_by(tables.detectors.c.name))
            return [
                Registered(
                    Detector.model_validate(row.document),
                    row.from_file,
                    row.born_ms,
                    row.live_after_ms,
                )
                for row in rows
            ]

    def put_detector(self, registered: Registered) -> None:
        """Register, or replace what has the name."""
        name = registered.document.name
        with self._transaction() as connection:
            connection.execute(delete(tables.detectors).where(tables.detectors.c.name == name))
            connection.execute(
                insert(tables.detectors).values(
                    name=name,
                    document=registered.document.model_dump(mode="json"),
                    from_file=registered.from_file,
                    born_ms=registered.born_ms,
                    live_after_ms=registered.live_after_ms,
                )
            )

    def delete_detector(self, name: str) -> None:
        """Forget a detector; its anomalies stay until their retention ends."""
        with self._transaction() as connection:
            connection.execute(delete(tables.detectors).where(tables.detectors.c.name == name))

    def sources(self) -> list[Source]:
        """Every source that was registered over REST, by name."""
        with self._transaction() as connection:
            rows = connection.execute(select(tables.sources).order_by(tables.sources.c.name))
            return [parse_source(row.document) for row in rows]

    def put_source(self, document: Source) -> None:
        """Register, or replace what has the name."""
        with self._transaction() as connection:
            table = tables.sources
            connection.execute(delete(table).where(table.c.name == document.name))
            values = {"name": document.name, "document": document.model_dump(mode="json")}
            connection.execute(insert(table).values(values))

    def delete_source(self, name: str) -> None:
        """Forget a source."""
        with self._transaction() as connection:
            connection.execute(delete(tables.sources).where(tables.sources.c.name == name))

    def jobs(self) -> list[Job]:
        """Every job, the oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(select(tables.jobs).order_by(tables.jobs.c.created_ms))
            return [Job.model_validate(row.document) for row in rows]

    def put_job(self, job: Job) -> None:
        """Keep a job as it stands now."""
        with self._transaction() as connection:
            table = tables.jobs
            connection.execute(delete(table).where(table.c.id == job.id))
            document = job.model_dump(mode="json")
            values = {"id": job.id, "created_ms": job.created_at, "document": document}
            connection.execute(insert(table).values(values))

    def delete_job(self, job_id: str) -> None:
        """Forget a job."""
        with self._transaction() as connection:
            connection.execute(delete(tables.jobs).where(tables.jobs.c.id == job_id))

    def record(self, anomalies: Sequence[Anomaly], limit: int) -> list[FeedMessage]:
        """Store what an engine has to tell; gives back what was not told before, with cursors.

        After a crash the same samples are judged again: what has the same revision is known
        already and changes nothing. limit: feed messages kept.
        """
        with self._transaction() as connection:
            told: list[FeedMessage] = []
            for anomaly in anomalies:
                message = _append(
                    connection, "anomalies", anomaly.model_dump(mode="json"), anomaly.revision
                )
                if message is not None:
                    told.append(message)
                    _upsert(connection, anomaly)
            _trim(connection, limit)
            return told

    def append(self, topic: str, data: dict[str, Any], limit: int) -> FeedMessage:
        """Add a message to the feed."""
        with self._transaction() as connection:
            message = _append(connection, topic, data, None)
            assert message is not None
            _trim(connection, limit)
            return message

    def feed_bounds(self) -> tuple[int, int]:
        """The oldest and the newest cursor that are kept; (1, 0) when there was no message."""
        with self._transaction() as connection:
            column = tables.feed.c.cursor
            oldest, newest = connection.execute(select(func.min(column), func.max(column))).one()
            return (1, 0) if newest is None else (oldest, newest)

    def feed_after(self, cursor: int, limit: int) -> list[FeedMessage]:
        """Up to `limit` messages after `cursor`, oldest first."""
        with self._transaction() as connection:
            table = tables.feed.c
            query = select(table.cursor, table.topic, table.data)
            query = query.where(table.cursor > cursor).order_by(table.cursor).limit(limit)
            return [FeedMessage(*row) for row in connection.execute(query)]

    def anomaly(self, anomaly_id: str) -> Anomaly | None:
        """One anomaly as it was told last."""
        with self._transaction() as connection:
            query = select(tables.anomalies.c.document).where(tables.anomalies.c.id == anomaly_id)
            document = connection.execute(query).scalar_one_or_none()
            return None if document is None else Anomaly.model_validate(document)

    def anomalies(
        self, chosen: AnomalyFilter, limit: int, before: tuple[int, str] | None
    ) -> list[Anomaly]:
        """Up to `limit` anomalies, the newest start first, those after `before` in that order."""
        found: list[Anomaly] = []
        with self._transaction() as connection:
            while len(found) < limit:
                page = connection.execute(_page(chosen, before)).all()
                for row in page:
                    before = (row.started_ms, row.id)
                    if chosen.labels is None or chosen.labels.matches(row.labels):
                        found.append(Anomaly.model_validate(row.document))
                        if len(found) == limit:
                            break
                if len(page) < PAGE_READ:
                    break
        return found

    def purge(self, ended_before_ms: int) -> int:
        """Drop anomalies that ended before then; how many."""
        with self._transaction() as connection:
            table = tables.anomalies
            return connection.execute(
                delete(table).where(table.c.ended_ms < ended_before_ms)
            ).rowcount

    def _prepare(self) -> str:
        """Make the tables where there are none; the name of the feed's log."""
        with self._transaction() as connection:
            tables.metadata.create_all(connection)
            rows = connection.execute(select(tables.meta.c.key, tables.meta.c.value))
            known: dict[str, str] = {row.key: row.value for row in rows}
            if not known:
                known = {"schema": str(tables.SCHEMA_VERSION), "feed": uuid4().hex[:8]}
                connection.execute(
                    insert(tables.meta), [{"key": k, "value": v} for k, v in known.items()]
                )
        if known["schema"] != str(tables.SCHEMA_VERSION):
            raise InvalidInput(
                f"the store has schema {known['schema']}, this engine needs "
                f"{tables.SCHEMA_VERSION}; use the release that wrote it, or another storage path"
            )
        return known["feed"]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = error.__cause__ or error
            raise StoreUnavailable(f"store: {cause}") from error


def sqlite_url(folder: Path) -> str:
    """The default store in the storage path."""
    return f"sqlite:///{(folder / 'records.sqlite').absolute()}"


def _open(url: str) -> Engine:
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise InvalidInput(
            f"store {url.rsplit('@', maxsplit=1)[-1]!r} cannot be opened: {error}"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Callable[..., Any]) -> None:
    try:
        for setting in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {setting}")
    except sqlite3.Error:
        connection.close()
        raise


def _append(
    connection: Connection, topic: str, data: dict[str, Any], revision: str | None
) -> FeedMessage | None:
    """The message, or None when one of that revision is there already."""
    feed = tables.feed
    if revision is not None:
        known = select(feed.c.cursor).where(feed.c.revision == revision)
        if connection.execute(known).first() is not None:
            return None
    values = {"topic": topic, "data": data, "revision": revision}
    key = connection.execute(insert(feed).values(values)).inserted_primary_key
    assert key is not None
    return FeedMessage(int(key[0]), topic, data)


def _trim(connection: Connection, limit: int) -> None:
    newest = select(func.max(tables.feed.c.cursor)).scalar_subquery()
    connection.execute(delete(tables.feed).where(tables.feed.c.cursor <= newest - limit))


def _upsert(connection: Connection, anomaly: Anomaly) -> None:
    table = tables.anomalies
    values = {
        "detector": anomaly.detector,
        "state": anomaly.state,
        "started_ms": anomaly.started_at,
        "ended_ms": anomaly.ended_at,
        "peak_score": anomaly.peak_score,
        "labels": anomaly.labels,
        "document": anomaly.model_dump(mode="json"),
    }
    changed = connection.execute(update(table).where(table.c.id == anomaly.id).values(values))
    if changed.rowcount == 0:
        connection.execute(insert(table).values(id=anomaly.id, **values))


def _page(chosen: AnomalyFilter, before: tuple[int, str] | None) -> Select[Any, Any, Any, Any]:
    table = tables.anomalies.c
    query = select(table.id, table.started_ms, table.labels, table.document)
    since_ms = chosen.since_ms
    conditions = [
        None if chosen.detector is None else table.detector == chosen.detector,
        None if chosen.state is None else table.state == chosen.state,
        None if since_ms is None else or_(table.ended_ms.is_(None), table.ended_ms >= since_ms),
        None if chosen.until_ms is None else table.started_ms <= chosen.until_ms,
        None if chosen.min_score is None else table.peak_score >= chosen.min_score,
        None
        if before is None
        else or_(
            table.started_ms < before[0],
            and_(table.started_ms == before[0], table.id < before[1]),
        ),
    ]
    query = query.where(*(condition for condition in conditions if condition is not None))
    return query.order_by(table.started_ms.desc(), table.id.desc()).limit(PAGE_READ)
