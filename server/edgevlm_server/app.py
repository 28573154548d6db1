"""The routes, who may use them, and the one shape of every error. Knows HTTP; all work is the service's."""

import logging
import re
import time
import uuid
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgevlm_server.chat import chat_completions
from edgevlm_server.errors import ApiError, MethodNotAllowed, NotFound, Unauthorized
from edgevlm_server.keys import KeyRing
from edgevlm_server.metrics import CONTENT_TYPE
from edgevlm_server.page import page_router
from edgevlm_server.schema import ChatRequest
from edgevlm_server.service import Service

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

probes = APIRouter()
"""Without a key: whether the process answers, and whether it can serve. The page is the only other one."""

api = APIRouter()
"""Everything else. The key is checked by a dependency of the whole router, so a new route cannot forget it."""


def get_service(request: Request) -> Service:
    """The service that this application was made for."""
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(get_service)]


def authorise(request: Request) -> None:
    """Raise `Unauthorized` unless the request carries the key of a known client, or no keys are set up."""
    keys: KeyRing | None = request.app.state.keys
    if keys is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    client = keys.client_of(key)
    if client is None:
        get_service(request).metrics.unauthorized.inc()
        raise Unauthorized
    request.state.client = client


@probes.get("/health")
async def health() -> dict[str, str]:
    """The process is alive: the event loop answers."""
    return {"status": "ok"}


@probes.get("/ready")
async def ready(service: Served) -> dict[str, str]:
    """The model is loaded and requests are taken."""
    service.loaded()
    return {"status": "ready"}


@api.get("/metrics")
async def metrics(service: Served) -> Response:
    """Prometheus text."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)


@api.get("/v1/models")
async def models(service: Served) -> dict[str, Any]:
    """The one model that is served."""
    manifest = service.loaded().model.manifest
    card = {"id": manifest.model, "object": "model", "created": service.started, "owned_by": "edgevlm"}
    return {"object": "list", "data": [card]}


_BODY = {"content": {"application/json": {"schema": ChatRequest.model_json_schema()}}, "required": True}


@api.post("/v1/chat/completions", openapi_extra={"requestBody": _BODY})
async def chat(request: Request, service: Served) -> Response:
    """Answer a conversation with images, whole or streamed."""
    # the body is read by hand: FastAPI would read it before the key is checked, without a limit
    return await chat_completions(request, service)


@api.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """The description of this API."""
    schema: dict[str, Any] = request.app.openapi()
    return schema


def build_app(service: Service, keys: KeyRing | None) -> ASGIApp:
    """The whole application as uvicorn runs it."""
    app = FastAPI(title="edgevlm", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.service = service
    app.state.keys = keys
    app.include_router(probes)
    app.include_router(api, dependencies=[Depends(authorise)])
    if not service.settings.no_page:
        app.include_router(page_router())
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    return RequestIds(app)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses: an unknown path or a wrong method."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = error.headers or {}
        answer: ApiError = MethodNotAllowed(
            "This path does not take this method.", code="method_not_allowed", headers=allowed
        )
    else:
        answer = NotFound("There is no such path.", code="not_found")
    return await _api_error(request, answer)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours; the traceback is in the log."""
    failure = ApiError("The server failed on this request.", code="internal_error")
    return await _api_error(request, failure)


class RequestIds:
    """Puts `x-request-id` on every answer, the client's own if it is short and plain, and writes the access log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        start = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.monotonic() - start
            client = scope.get("state", {}).get("client", "-")
            level = logging.DEBUG if scope["path"] in ("/health", "/ready", "/metrics") else logging.INFO
            log.log(
                level,
                "%s %s %d %.3f s client=%s id=%s",
                scope["method"],
                _shown(scope),
                status,
                seconds,
                client,
                request_id,
            )


def _shown(scope: Scope) -> str:
    """The path for the log: one line of plain characters, whatever was sent."""
    path: str = scope["path"]
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in path[:120])
