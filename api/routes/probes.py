"""Health and metrics, where Prometheus and Kubernetes look for them."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from api.ports import Ports
from models.health import Health

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def routes(ports: Ports) -> APIRouter:
    """`/health /ready /alive /-/healthy /-/ready /metrics /metrics/scores`."""
    router = APIRouter(tags=["probes"])

    @router.get("/health", response_model=Health)
    async def health() -> Health:
        """Each part of the engine; always 200 while it serves."""
        return ports.health()

    @router.get("/ready")
    @router.get("/-/ready", include_in_schema=False)
    async def ready() -> PlainTextResponse:
        """200 once the engine has restored its state and judges; 503 before."""
        if ports.ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("restoring\n", 503)

    @router.get("/alive")
    @router.get("/-/healthy", include_in_schema=False)
    async def alive() -> PlainTextResponse:
        """200 while the process serves."""
        return PlainTextResponse("alive\n")

    @router.get("/metrics")
    async def metrics() -> Response:
        """The engine's own metrics, in text exposition format."""
        return Response(await ports.metrics.render(), media_type=TEXT_FORMAT)

    @router.get("/metrics/scores")
    async def scores() -> Response:
        """The newest score and band of every series; scrape it with `honor_labels: true`."""
        return Response(await ports.scores.render(), media_type=TEXT_FORMAT)

    for path in ("/alive", "/-/healthy", "/ready", "/-/ready"):
        endpoint = alive if path in ("/alive", "/-/healthy") else ready
        router.add_api_route(
            path, endpoint, methods=["HEAD"], include_in_schema=False, response_class=JSONResponse
        )
    return router
