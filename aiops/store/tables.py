"""The tables, as SQLAlchemy sees them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

SCHEMA_VERSION = 1

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", String))

detectors = Table(
    "detectors",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", JSON, nullable=False),
    Column("from_file", Boolean, nullable=False),
    Column("born_ms", BigInteger, nullable=False),
    Column("live_after_ms", BigInteger, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", JSON, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("document", JSON, nullable=False),
)

anomalies = Table(
    "anomalies",
    metadata,
    Column("id", String, primary_key=True),
    Column("detector", String, nullable=False),
    Column("state", String, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("peak_score", Float, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("document", JSON, nullable=False),
    Index("anomalies_by_start", "started_ms", "id"),
    Index("anomalies_by_detector", "detector", "started_ms"),
)

# Integer and not BigInteger: SQLite numbers rows by itself only in a column of that very type.
feed = Table(
    "feed",
    metadata,
    Column("cursor", Integer, primary_key=True, autoincrement=True),
    Column("revision", String, unique=True),
    Column("topic", String, nullable=False),
    Column("data", JSON, nullable=False),
    sqlite_autoincrement=True,
)
