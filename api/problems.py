"""Errors as problem+json (RFC 9457): one table from error to status, no stack trace, no secret."""

from collections.abc import Mapping
from inspect import isclass

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from models.errors import AiopsError, FieldFault, InvalidInput
from models.source import place_in_source
from models.validation import faults_of, summary

RETRY_AFTER_SECONDS = "5"
PROBLEM_JSON = "application/problem+json"
STATUS: Mapping[str, tuple[int, str]] = {
    "invalid_input": (422, "The request says something impossible"),
    "invalid_settings": (422, "The settings say something impossible"),
    "malformed_json": (400, "The body is not JSON"),
    "not_found": (404, "Nothing has that name"),
    "method_not_allowed": (405, "The path does not take that method"),
    "too_large": (413, "The body is too large"),
    "conflict": (409, "The request does not fit what is there"),
    "unauthorized": (401, "A valid bearer token is needed"),
    "query_rejected": (422, "The source rejects the query"),
    "query_too_large": (422, "The source cannot answer that much at once"),
    "source_error": (502, "The source did not answer"),
    "source_unavailable": (502, "The source cannot be reached"),
    "snapshot_damaged": (500, "A snapshot cannot be trusted"),
    "intake_full": (429, "More was pushed than may wait"),
    "unsupported_media": (415, "The body's type is not taken here"),
    "not_ready": (503, "The engine is still restoring its state"),
    "store_unavailable": (503, "The store cannot be read or written"),
    "http_error": (400, "The request cannot be served"),
    "internal": (500, "A fault of the engine; its log says more under the request id"),
}
"""Every `code`, its HTTP status and title."""
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 401: "unauthorized"}

log = structlog.get_logger()


def problem(
    request: Request,
    code: str,
    detail: str,
    *,
    retryable: bool = False,
    faults: tuple[FieldFault, ...] = (),
    status: int | None = None,
) -> JSONResponse:
    """One problem document."""
    known_status, title = STATUS[code]
    status = status or known_status
    body: dict[str, object] = {
        "type": f"urn:aiops:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "retryable": retryable,
        "request_id": request.scope.get("state", {}).get("request_id", ""),
    }
    if faults:
        body["errors"] = [{"pointer": f.pointer, "detail": f.detail} for f in faults]
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": RETRY_AFTER_SECONDS}}
    return JSONResponse(body, status, headers=headers.get(status), media_type=PROBLEM_JSON)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error with a problem document."""

    @app.exception_handler(AiopsError)
    async def ours(request: Request, error: AiopsError) -> JSONResponse:
        faults = error.faults if isinstance(error, InvalidInput) else ()
        return problem(request, error.code, error.detail, retryable=error.retryable, faults=faults)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        entries = error.errors()
        if any(entry["type"] == "json_invalid" for entry in entries):
            reason = entries[0].get("ctx", {}).get("error", "unreadable")
            return problem(request, "malformed_json", f"the body is not JSON: {reason}")
        # The first part of a location says where it stood: body, query or path.
        inner = [entry | {"loc": place_in_source(entry["loc"][1:])} for entry in entries]
        faults = faults_of(inner, _body_record(request))
        return problem(request, "invalid_input", summary(faults), faults=faults)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        code = _BY_STATUS.get(error.status_code, "http_error")
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return problem(request, code, detail, status=error.status_code)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        log.exception("request broke", path=request.url.path, error=str(error), exc_info=error)
        return problem(request, "internal", "the engine failed to serve this request")


def _body_record(request: Request) -> type[BaseModel] | None:
    """The record that the route's body is read as."""
    field = getattr(request.scope.get("route"), "body_field", None)
    annotation = None if field is None else field.field_info.annotation
    return annotation if isclass(annotation) and issubclass(annotation, BaseModel) else None
