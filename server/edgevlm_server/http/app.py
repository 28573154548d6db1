"""The routes, who may use them, and what becomes of every error. Knows HTTP; all work is the service's."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from edgevlm_server.api.answers import Health, Readiness
from edgevlm_server.api.ask import AskForm
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.decisions import DecisionRequest
from edgevlm_server.api.responses import ResponsesRequest
from edgevlm_server.api.tokenize import DetokenizeRequest, TokenizeRequest
from edgevlm_server.errors import ApiError, MethodNotAllowed, NotFound
from edgevlm_server.http import decisions, routes
from edgevlm_server.http.access.cors import Cors
from edgevlm_server.http.access.dependencies import Served, authorise
from edgevlm_server.http.access.hosts import HostGuard
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.generate import CLIENT_CLOSED_REQUEST
from edgevlm_server.http.openapi import describe, may_answer
from edgevlm_server.http.static import docs_router, page_router
from edgevlm_server.http.transport.envelope import Envelope, refusal
from edgevlm_server.http.transport.targets import Targets
from edgevlm_server.observe.metrics import CONTENT_TYPE
from edgevlm_server.service import Service
from edgevlm_server.settings import Settings, is_loopback
from edgevlm_server.version import version

probes = APIRouter(tags=["operation"])
"""Without a key: whether the process answers, and whether it can serve. So are the pages of `static`."""

api = APIRouter()
"""The key is checked by a dependency of whole routers, so a new route cannot forget it; see `KEYED`."""


@probes.get("/health")
async def health() -> Health:
    """The process is alive: the event loop answers."""
    return Health(status="ok")


@probes.get("/ready", responses=may_answer((503,)))
async def ready(service: Served) -> Readiness:
    """The model is loaded and requests are taken."""
    service.loaded()
    return Readiness(status="ready")


@api.get("/metrics", tags=["operation"], response_class=PlainTextResponse, responses=may_answer((401,)))
async def metrics(service: Served) -> Response:
    """Prometheus text."""
    return Response(await service.metrics_text(), media_type=CONTENT_TYPE)


@api.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """The description of this API."""
    state = request.app.state
    if state.description is None:
        state.description = describe(request.app, BODIES, keyed=state.keys is not None, root_path=_root_path(request))
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
    settings = service.settings
    app: ASGIApp = HostGuard(build_api(service, keys), _allowed_hosts(settings, keys), settings.cors_origins or ())
    if settings.cors_origins:
        app = Cors(app, settings.cors_origins)
    return Envelope(Targets(app, settings.root_path or ""))


def build_api(service: Service, keys: KeyRing | None) -> FastAPI:
    """The routes."""
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
    return app


def _allowed_hosts(settings: Settings, keys: KeyRing | None) -> tuple[str, ...]:
    """Without a list, names are checked where nothing else keeps a page on the internet out."""
    if settings.allowed_hosts is not None:
        return settings.allowed_hosts
    return () if keys is None and is_loopback(settings.host) else ("*",)


def _root_path(request: Request) -> str:
    path: str = request.scope["root_path"]
    return path


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return refusal(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses: an unknown path or a wrong method. OPTIONS is no route's, so it comes here."""
    assert isinstance(error, HTTPException)
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return refusal(NotFound("There is no such path.", code="not_found"))
    headers = {"allow": _allowed((error.headers or {}).get("Allow", ""))}
    if request.method == "OPTIONS":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    return refusal(
        MethodNotAllowed("This path does not take this method.", code="method_not_allowed", headers=headers)
    )


def _allowed(methods: str) -> str:
    """A route's methods, and those that come with them."""
    return f"{methods.replace('GET', 'GET, HEAD')}, OPTIONS"


async def _client_left(request: Request, error: Exception) -> Response:
    """In the middle of its body, or while its request was prepared."""
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours; the traceback is in the log."""
    # starlette raises it again, and uvicorn then closes the connection
    failure = ApiError("The server failed on this request.", code="internal_error", headers={"connection": "close"})
    return refusal(failure)
