"""Routes for whoever operates the server, and a listener for them alone. Knows HTTP; all work is the service's."""

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp

from edgevlm_server.api.answers import Health, Readiness
from edgevlm_server.http.access.dependencies import Served
from edgevlm_server.http.access.hosts import HostGuard, allowed_hosts
from edgevlm_server.http.failures import answer_errors
from edgevlm_server.http.openapi import may_answer
from edgevlm_server.http.transport.envelope import Envelope
from edgevlm_server.http.transport.targets import Targets
from edgevlm_server.service import Service

probes = APIRouter(tags=["operation"])
"""Without a key: whether the process answers, and whether it can serve. So are the pages of `static`."""

scraping = APIRouter(tags=["operation"])
"""With a key, but for the listener that has nothing else."""


@probes.get("/health")
async def health() -> Health:
    """The process is alive: the event loop answers."""
    return Health(status="ok")


@probes.get("/ready", responses=may_answer((503,)))
async def ready(service: Served) -> Readiness:
    """The model is loaded and requests are taken."""
    service.loaded()
    return Readiness(status="ready")


@scraping.get("/metrics", response_class=PlainTextResponse, responses=may_answer((401,)))
async def metrics(request: Request, service: Served) -> Response:
    """Prometheus text, or OpenMetrics for those whose `Accept` names it."""
    content, media_type = await service.exposition(request.headers.get("accept", ""))
    return Response(content, media_type=media_type)


def build_metrics_app(service: Service) -> ASGIApp:
    """What `--metrics-port` answers: all of it without a key, and nothing else."""
    settings = service.settings
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.service = service
    for router in (probes, scraping):
        app.include_router(router)
    answer_errors(app)
    allowed = allowed_hosts(settings, settings.metrics_host, keyed=False)
    return Envelope(Targets(HostGuard(app, allowed), ""), service.readers)
