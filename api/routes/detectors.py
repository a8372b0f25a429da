"""Detectors: registered, read, replaced, changed, started, stopped."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response, status

from api.ports import Ports
from api.schemas import LIMIT, Cursor, Limit, Page, decode_cursor, encode_cursor
from models.detector import Detector, Status
from models.errors import FieldFault, InvalidInput

Document = Annotated[
    Detector,
    Body(
        examples=[
            {
                "name": "checkout-latency",
                "source": "prom",
                "query": "sum by (service) (rate(http_requests_total[1m]))",
                "model": {"kind": "mad", "window": "1h", "threshold": 5},
            }
        ]
    ),
]


def routes(ports: Ports) -> APIRouter:
    """`/detectors` and what is below it."""
    router = APIRouter(prefix="/detectors", tags=["detectors"])
    detectors = ports.detectors

    @router.get("", response_model=Page[Detector])
    async def listing(limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Detector]:
        """All detectors, by name."""
        found = detectors.listing(limit + 1, decode_cursor(cursor))
        more = encode_cursor(found[limit - 1].name) if len(found) > limit else None
        return Page(items=found[:limit], next=more)

    @router.post("", status_code=status.HTTP_201_CREATED)
    async def create(document: Document, response: Response) -> Detector:
        """Register a detector; a taken name is 409. It runs at once unless `enabled` is false."""
        detector = await detectors.create(document)
        response.headers["Location"] = f"/api/v1/detectors/{detector.name}"
        return detector

    @router.get("/{name}")
    async def get(name: str) -> Detector:
        """One detector's document."""
        return detectors.get(name)

    @router.put("/{name}")
    async def put(name: str, document: Document, response: Response) -> Detector:
        """Create or replace.

        What was learned stays unless source, query, step, model or history change.
        """
        if document.name != name:
            detail = f"the document says {document.name!r}, the path {name!r}"
            raise InvalidInput(f"/name: {detail}", (FieldFault("/name", detail),))
        if await detectors.put(document):
            response.status_code = status.HTTP_201_CREATED
        return document

    @router.patch("/{name}")
    async def patch(name: str, changes: Annotated[dict[str, Any], Body()]) -> Detector:
        """Change some keys: a JSON merge patch (RFC 7396)."""
        return await detectors.patch(name, changes)

    @router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete(name: str) -> None:
        """Stop and forget; its anomalies stay."""
        await detectors.delete(name)

    @router.post("/{name}/start")
    async def start(name: str) -> Status:
        """Run; starting a running detector changes nothing."""
        return await detectors.start(name)

    @router.post("/{name}/stop")
    async def stop(name: str) -> Status:
        """Stop; what was learned stays. Stopping a stopped detector changes nothing."""
        return await detectors.stop(name)

    @router.get("/{name}/status")
    @router.get("/{name}/health")
    async def stands(name: str) -> Status:
        """How it stands."""
        return detectors.status(name)

    return router
