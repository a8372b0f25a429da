"""Anomalies that were told."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.ports import Ports
from api.schemas import LIMIT, Cursor, Limit, Page, bad_parameter, decode_cursor, encode_cursor
from models.anomaly import Anomaly, AnomalyFilter
from models.labels import parse_selector
from models.timestamps import parse_timestamp


def routes(ports: Ports) -> APIRouter:
    """`/anomalies` and what is below it."""
    router = APIRouter(prefix="/anomalies", tags=["anomalies"])
    anomalies = ports.anomalies

    @router.get("", response_model=Page[Anomaly])
    async def listing(
        limit: Limit = LIMIT,
        cursor: Cursor = None,
        detector: str | None = None,
        labels: Annotated[str | None, Query(description='Selector: `{service="shop"}`.')] = None,
        since: Annotated[str | None, Query(description="Open or ended at or after this.")] = None,
        until: Annotated[str | None, Query(description="Started at or before this.")] = None,
        state: Literal["open", "closed"] | None = None,
        min_score: Annotated[float | None, Query(description="Smallest peak score.")] = None,
    ) -> Page[Anomaly]:
        """Anomalies, the newest start first. Times are RFC 3339 or Unix seconds."""
        try:
            selector = None if labels is None else parse_selector(labels)
        except ValueError as error:
            raise bad_parameter("labels", str(error)) from error
        chosen = AnomalyFilter(
            detector=detector,
            state=state,
            since_ms=_time("since", since),
            until_ms=_time("until", until),
            min_score=min_score,
            labels=selector,
        )
        found = await anomalies.listing(chosen, limit + 1, _place(cursor))
        last = found[min(limit, len(found)) - 1] if found else None
        more = f"{last.started_at}/{last.id}" if last and len(found) > limit else None
        return Page(items=found[:limit], next=encode_cursor(more) if more else None)

    @router.get("/{anomaly_id}")
    async def get(anomaly_id: str) -> Anomaly:
        """One anomaly, as it was told last."""
        return await anomalies.get(anomaly_id)

    return router


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise bad_parameter(name, str(error)) from error


def _place(cursor: str | None) -> tuple[int, str] | None:
    place = decode_cursor(cursor)
    if place is None:
        return None
    started, _, anomaly_id = place.partition("/")
    if not started.lstrip("-").isdecimal():
        raise bad_parameter("cursor", f"{cursor!r} is not a cursor of this list")
    return int(started), anomaly_id
