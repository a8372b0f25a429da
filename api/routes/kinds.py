"""The kinds of models and their parameters."""

from fastapi import APIRouter

from api.ports import Ports
from models.kind import Kind


def routes(ports: Ports) -> APIRouter:
    """`/kinds` and what is below it."""
    router = APIRouter(prefix="/kinds", tags=["kinds"])

    @router.get("")
    async def listing() -> list[Kind]:
        """All kinds, each with its parameters as JSON Schema."""
        return ports.kinds()

    @router.get("/{kind}")
    async def get(kind: str) -> Kind:
        """One kind."""
        return ports.kind(kind)

    return router
