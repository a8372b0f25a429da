"""Sources, as the settings file names them, and how they stand."""

from fastapi import APIRouter

from api.ports import Ports
from api.schemas import LIMIT, Cursor, Limit, Page, decode_cursor, encode_cursor
from models.source import Source, SourceHealth


def routes(ports: Ports) -> APIRouter:
    """`/sources` and what is below it."""
    router = APIRouter(prefix="/sources", tags=["sources"])
    sources = ports.sources

    @router.get("", response_model=Page[Source])
    async def listing(limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Source]:
        """All sources, by name; secrets are named by their place, never shown."""
        found = sources.listing(limit + 1, decode_cursor(cursor))
        more = encode_cursor(found[limit - 1].name) if len(found) > limit else None
        return Page(items=found[:limit], next=more)

    @router.get("/{name}", response_model=Source)
    async def get(name: str) -> Source:
        """One source's document."""
        return sources.document(name)

    @router.get("/{name}/health")
    async def health(name: str) -> SourceHealth:
        """Ask the source now whether it answers."""
        return await sources.health(name)

    return router
