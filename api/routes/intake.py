"""Where samples and log lines are pushed: the paths that senders of Prometheus and Loki know."""

from email.message import Message

from fastapi import APIRouter, Request, Response, status

from api.ports import Ports
from api.problems import problem
from models.errors import InvalidInput

PROTOBUF = "application/x-protobuf"
VERSION_1, VERSION_2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


def write_routes(ports: Ports) -> APIRouter:
    """`/write`."""
    router = APIRouter(tags=["intake"])

    @router.post("/write", status_code=status.HTTP_204_NO_CONTENT)
    async def write(request: Request) -> Response:
        """Remote write 1.0 and 2.0; needs a source of type `remote_write`."""
        media, message = _media(request)
        if media != PROTOBUF or message not in (VERSION_1, VERSION_2):
            return _unsupported(request, f"{PROTOBUF}, of {VERSION_1} or {VERSION_2}")
        if request.headers.get("content-encoding", "") not in ("snappy", ""):
            return _unsupported(request, "Content-Encoding: snappy")
        receiver = ports.intake.receiver()
        try:
            written = await receiver.take(await request.body(), version_2=message == VERSION_2)
        except InvalidInput as error:
            # By the specification: a sender drops what got 400, and tries again what got 5xx.
            return problem(request, error.code, error.detail, faults=error.faults, status=400)
        headers = {
            WRITTEN.format("Samples"): str(written.samples),
            WRITTEN.format("Histograms"): str(written.histograms),
            WRITTEN.format("Exemplars"): str(written.exemplars),
        }
        return Response(status_code=status.HTTP_204_NO_CONTENT, headers=headers)

    return router


def push_routes(ports: Ports) -> APIRouter:
    """`/loki/api/v1/push`."""
    router = APIRouter(tags=["intake"])

    @router.post("/loki/api/v1/push", status_code=status.HTTP_204_NO_CONTENT)
    async def push(request: Request) -> Response:
        """Loki's push API, JSON or protobuf; needs a source of type `loki_push`."""
        media, _ = _media(request)
        encoding = request.headers.get("content-encoding", "")
        # As Loki has it: what does not say that it is JSON is protobuf.
        protobuf = media != "application/json"
        if encoding not in ("", "gzip", "snappy") or (protobuf and encoding == "gzip"):
            return _unsupported(request, "JSON, plain or with gzip; protobuf with snappy")
        receiver = ports.intake.line_receiver()
        try:
            await receiver.take(await request.body(), protobuf=protobuf, encoding=encoding)
        except InvalidInput as error:
            return problem(request, error.code, error.detail, faults=error.faults, status=400)
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router


def _media(request: Request) -> tuple[str, str]:
    """The media type, and the message that its parameter `proto` names."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    proto = header.get_param("proto", VERSION_1)
    return header.get_content_type(), proto if isinstance(proto, str) else ""


def _unsupported(request: Request, right: str) -> Response:
    given = request.headers.get("content-type", "none")
    encoding = request.headers.get("content-encoding", "none")
    detail = f"Content-Type {given}, Content-Encoding {encoding}; taken is {right}"
    return problem(request, "unsupported_media", detail)
