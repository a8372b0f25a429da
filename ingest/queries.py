"""PromQL and LogQL from their parts: always valid, always escaped.

A builder gives text for people to read and change; nothing of the engine reads it back.
"""

import re

import promql_parser

from models.durations import format_duration
from models.errors import QueryRejected
from models.labels import quote
from models.query import QueryParts

LEGACY_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def build_query(parts: QueryParts) -> str:
    """The query. PromQL that its own parser does not take raises QueryRejected.

    >>> build_query(QueryParts(language="promql", metric="up", over_time="avg", window="5m"))
    'avg_over_time(up[5m])'
    """
    if parts.language == "logql":
        return _aggregated(parts, _logql(parts))
    query = _aggregated(parts, _promql(parts))
    check_promql(query)
    return query


def check_promql(query: str) -> None:
    """Raise QueryRejected with the parser's words for what is not PromQL; asks no server."""
    try:
        promql_parser.parse(query)
    except ValueError as error:
        raise QueryRejected(f"{query!r}: {error}") from error


def _promql(parts: QueryParts) -> str:
    conditions = [str(condition) for condition in parts.where]
    name = parts.metric or ""
    if name and not LEGACY_NAME.fullmatch(name):
        conditions.insert(0, f"__name__={quote(name)}")
        name = ""
    inner = f"{{{','.join(conditions)}}}" if conditions else ""
    selected = f"{name}{inner}"
    if parts.over_time is None:
        return selected
    ranged = f"{selected}[{format_duration(parts.window)}]"
    if parts.over_time in ("rate", "increase", "delta"):
        return f"{parts.over_time}({ranged})"
    if parts.over_time == "quantile":
        return f"quantile_over_time({parts.quantile:g}, {ranged})"
    return f"{parts.over_time}_over_time({ranged})"


def _logql(parts: QueryParts) -> str:
    selected = f"{{{','.join(map(str, parts.where))}}}"
    selected += "".join(f" |= {quote(text)}" for text in parts.contains)
    if parts.over_time is None:
        return selected
    if parts.unwrap is not None:
        selected += f" | unwrap {parts.unwrap}"
    ranged = f"{selected} [{format_duration(parts.window)}]"
    if parts.over_time == "rate":
        return f"rate({ranged})"
    if parts.over_time == "quantile":
        return f"quantile_over_time({parts.quantile:g}, {ranged})"
    return f"{parts.over_time}_over_time({ranged})"


def _aggregated(parts: QueryParts, query: str) -> str:
    if parts.aggregate is None:
        return query
    by = f" by ({', '.join(parts.by)})" if parts.by else ""
    own = f"{parts.quantile:g}, " if parts.aggregate == "quantile" else ""
    return f"{parts.aggregate}{by} ({own}{query})"
