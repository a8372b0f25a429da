"""Sources: registered, read, replaced, changed, deleted, tried out."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response, status

from api.ports import Ports
from api.schemas import LIMIT, Cursor, Limit, Page, decode_cursor, encode_cursor
from models.errors import FieldFault, InvalidInput
from models.query import BuiltQuery, MetricInfo, Preview, Previewed, QueryParts
from models.source import Source, SourceHealth

Document = Annotated[
    Source,
    Body(examples=[{"type": "prometheus", "name": "prom", "url": "http://127.0.0.1:9090"}]),
]
Selector = Annotated[str | None, Query(description='Series to look at, e.g. `{job="node"}`.')]
Contains = Annotated[str, Query(description="Only names with this text in them.")]


def routes(ports: Ports) -> APIRouter:
    """`/sources` and what is below it."""
    router = APIRouter(prefix="/sources", tags=["sources"])
    _documents(router, ports)
    _content(router, ports)
    return router


def _documents(router: APIRouter, ports: Ports) -> None:
    sources = ports.sources

    @router.get("", response_model=Page[Source])
    async def listing(limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Source]:
        """All sources, by name; secrets are named by their place, never shown."""
        found = sources.listing(limit + 1, decode_cursor(cursor))
        more = encode_cursor(found[limit - 1].name) if len(found) > limit else None
        return Page(items=found[:limit], next=more)

    @router.post("", status_code=status.HTTP_201_CREATED, response_model=Source)
    async def create(document: Document, response: Response) -> Source:
        """Register a source; a taken name is 409."""
        source = await sources.create(document)
        response.headers["Location"] = f"/api/v1/sources/{source.name}"
        return source

    @router.post("/build")
    async def build(parts: QueryParts) -> BuiltQuery:
        """A query in PromQL or LogQL from its parts: valid and escaped."""
        return sources.build(parts)

    @router.get("/{name}", response_model=Source)
    async def get(name: str) -> Source:
        """One source's document."""
        return sources.document(name)

    @router.put("/{name}", response_model=Source)
    async def put(name: str, document: Document, response: Response) -> Source:
        """Create or replace; detectors that read it go on with the new one, and what they know."""
        if document.name != name:
            detail = f"the document says {document.name!r}, the path {name!r}"
            raise InvalidInput(f"/name: {detail}", (FieldFault("/name", detail),))
        if await sources.put(document):
            response.status_code = status.HTTP_201_CREATED
        return document

    @router.patch("/{name}", response_model=Source)
    async def patch(name: str, changes: Annotated[dict[str, Any], Body()]) -> Source:
        """Change some keys: a JSON merge patch (RFC 7396)."""
        return await sources.patch(name, changes)

    @router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete(name: str) -> None:
        """Forget it; 409 with the list of its detectors while there are any."""
        await sources.delete(name)

    @router.get("/{name}/health")
    async def health(name: str) -> SourceHealth:
        """Ask the source now whether it answers, and say who reads it."""
        return await sources.health(name)


def _content(router: APIRouter, ports: Ports) -> None:
    sources = ports.sources

    @router.post("/{name}/query")
    async def preview(name: str, asked: Preview) -> Previewed:
        """What a query gives, before a detector is made of it."""
        return await sources.preview(name, asked)

    @router.get("/{name}/metrics", response_model=Page[MetricInfo])
    async def metrics(
        name: str, contains: Contains = "", limit: Limit = LIMIT, cursor: Cursor = None
    ) -> Page[MetricInfo]:
        """The metrics of a source, by name, with type and help where it tells them."""
        after = decode_cursor(cursor)
        found = [
            metric
            for metric in await sources.metrics(name)
            if contains in metric.name and (after is None or metric.name > after)
        ]
        more = encode_cursor(found[limit - 1].name) if len(found) > limit else None
        return Page(items=found[:limit], next=more)

    @router.get("/{name}/labels")
    async def labels(name: str, match: Selector = None) -> Page[str]:
        """Names of labels."""
        return Page(items=sorted(await sources.labels(name, match)), next=None)

    @router.get("/{name}/labels/{label}")
    async def label_values(
        name: str, label: str, match: Selector = None, limit: Limit = LIMIT, cursor: Cursor = None
    ) -> Page[str]:
        """Values of a label."""
        after = decode_cursor(cursor)
        values = sorted(await sources.label_values(name, label, match))
        values = [value for value in values if after is None or value > after]
        more = encode_cursor(values[limit - 1]) if len(values) > limit else None
        return Page(items=values[:limit], next=more)
