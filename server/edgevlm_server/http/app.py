"""The routes, who may use them, and the one shape of every error. Knows HTTP; all work is the service's."""

import logging
import re
import time
import uuid
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgevlm_server.api.answers import Health, Readiness
from edgevlm_server.api.ask import AskForm
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.decisions import DecisionRequest
from edgevlm_server.api.responses import ResponsesRequest
from edgevlm_server.api.tokenize import DetokenizeRequest, TokenizeRequest
from edgevlm_server.errors import ApiError, MethodNotAllowed, NotFound
from edgevlm_server.http import decisions, routes
from edgevlm_server.http.client import Served, authorise
from edgevlm_server.http.generate import CLIENT_CLOSED_REQUEST
from edgevlm_server.http.openapi import describe, may_answer
from edgevlm_server.http.static import docs_router, page_router
from edgevlm_server.keys import KeyRing
from edgevlm_server.metrics import CONTENT_TYPE
from edgevlm_server.service import Service
from edgevlm_server.version import version

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

probes = APIRouter(tags=["operation"])
"""Without a key: whether the process answers, and whether it can serve. So are the pages of `static`."""

api = APIRouter()
"""The key is checked by a dependency of whole routers, so a new route cannot forget it; see `KEYED`."""


# not all supervisors send GET
@probes.head("/health", include_in_schema=False)
@probes.get("/health")
async def health() -> Health:
    """The process is alive: the event loop answers."""
    return Health(status="ok")


@probes.head("/ready", include_in_schema=False)
@probes.get("/ready", responses=may_answer((503,)))
async def ready(service: Served) -> Readiness:
    """The model is loaded and requests are taken."""
    service.loaded()
    return Readiness(status="ready")


@api.get("/metrics", tags=["operation"], response_class=PlainTextResponse, responses=may_answer((401,)))
async def metrics(service: Served) -> Response:
    """Prometheus text."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)


@api.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """The description of this API."""
    state = request.app.state
    if state.description is None:
        state.description = describe(request.app, BODIES)
    description: dict[str, Any] = state.description
    return description


BODIES = (
    *(AskForm, ChatRequest, CompletionRequest, DecisionRequest, DetokenizeRequest, ResponsesRequest),
    TokenizeRequest,
)
"""What the routes take, for the description."""

KEYED = (routes.generation, decisions.router, routes.tokens, routes.models, api)
"""Routers whose every route needs a key."""


def build_app(service: Service, keys: KeyRing | None) -> ASGIApp:
    """The whole application as uvicorn runs it."""
    app = FastAPI(
        title="edgevlm",
        version=version(),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.keys = keys
    app.state.description = None
    for router in KEYED:
        app.include_router(router, dependencies=[Depends(authorise)])
    app.include_router(probes)
    app.include_router(docs_router())
    if not service.settings.no_page:
        app.include_router(page_router())
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
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


async def _client_left(request: Request, error: Exception) -> Response:
    """In the middle of its body, or while its request was prepared."""
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours; the traceback is in the log."""
    # starlette raises it again, and uvicorn then closes the connection
    failure = ApiError("The server failed on this request.", code="internal_error", headers={"connection": "close"})
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
