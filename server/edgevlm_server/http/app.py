"""The routes together, and who may use them. Knows HTTP; all work is the service's."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from edgevlm_server.api.ask import AskForm
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.decisions import DecisionRequest
from edgevlm_server.api.readings import ReadingsForm, ReadingsRequest
from edgevlm_server.api.responses import ResponsesRequest
from edgevlm_server.api.tokenize import DetokenizeRequest, TokenizeRequest
from edgevlm_server.http import decisions, readings, routes, status
from edgevlm_server.http.access.cors import Cors
from edgevlm_server.http.access.dependencies import authorise
from edgevlm_server.http.access.hosts import HostGuard, allowed_hosts
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.failures import answer_errors
from edgevlm_server.http.openapi import describe
from edgevlm_server.http.operation import probes, scraping
from edgevlm_server.http.static import docs_router, page_router
from edgevlm_server.http.transport.envelope import Envelope
from edgevlm_server.http.transport.targets import Targets
from edgevlm_server.service import Service
from edgevlm_server.stations import Stations
from edgevlm_server.version import version

api = APIRouter()
"""The key is checked by a dependency of whole routers, so a new route cannot forget it; see `KEYED`."""


@api.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """The description of this API."""
    state = request.app.state
    if state.description is None:
        state.description = describe(request.app, BODIES, keyed=state.keys is not None, root_path=_root_path(request))
    description: dict[str, Any] = state.description
    return description


BODIES = (
    *(AskForm, ChatRequest, CompletionRequest, DecisionRequest, DetokenizeRequest, ReadingsForm, ReadingsRequest),
    *(ResponsesRequest, TokenizeRequest),
)
"""What the routes take, for the description."""

KEYED = (
    *(routes.generation, decisions.router, readings.router, routes.tokens, routes.models, scraping),
    *(status.router, api),
)
"""Routers whose every route needs a key."""


def build_app(service: Service, keys: KeyRing | None, stations: Stations) -> ASGIApp:
    """The whole application as uvicorn runs it."""
    settings = service.settings
    app: ASGIApp = HostGuard(
        build_api(service, keys, stations),
        allowed_hosts(settings, settings.host, keyed=keys is not None),
        settings.cors_origins or (),
    )
    if settings.cors_origins:
        app = Cors(app, settings.cors_origins)
    return Envelope(Targets(app, settings.root_path or ""), service.readers)


def build_api(service: Service, keys: KeyRing | None, stations: Stations | None = None) -> FastAPI:
    """The routes; without `stations` there are none."""
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
    app.state.stations = Stations() if stations is None else stations
    app.state.description = None
    for router in KEYED:
        app.include_router(router, dependencies=[Depends(authorise)])
    service.metrics.requests.expect(_statuses((*KEYED, probes)))
    app.include_router(probes)
    app.include_router(docs_router())
    if not service.settings.no_page:
        app.include_router(page_router())
    answer_errors(app)
    return app


def _statuses(routers: Iterable[APIRouter]) -> dict[str, list[int]]:
    """The statuses that each route says it may answer."""
    routes = (route for router in routers for route in router.routes if isinstance(route, APIRoute))
    return {route.path: [200, *map(int, route.responses)] for route in routes}


def _root_path(request: Request) -> str:
    path: str = request.scope["root_path"]
    return path
