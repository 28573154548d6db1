"""`GET /status`: how the server is, for people and their pages. Knows HTTP, and where each value is found."""

import time

from fastapi import APIRouter

from edgevlm_server.api.status import (
    DeviceStatus,
    LastMinute,
    LastRequest,
    Share,
    StageTime,
    Status,
    Temperature,
    TokenRate,
)
from edgevlm_server.device.state import DeviceState
from edgevlm_server.http.access.dependencies import Served
from edgevlm_server.http.openapi import may_answer
from edgevlm_server.observe.levels import Levels, Name
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.recent import WINDOW, Recent
from edgevlm_server.observe.record import RequestRecord, rounded
from edgevlm_server.version import version

router = APIRouter(tags=["operation"])


@router.get("/status", responses=may_answer((401,)))
async def status(service: Served) -> Status:
    """Load, rates, device and the last requests, none of their content; answered in every state of the server."""
    metrics, levels = service.metrics, service.metrics.levels
    device = await service.device_state()
    return Status(
        state=service.state,
        time=round(time.time(), 3),
        uptime_seconds=round(levels.value("uptime_seconds"), 1),
        version=version(),
        model=service.model,
        slots=Share(used=metrics.running, limit=int(levels.value("num_requests_running_limit"))),
        queue=Share(used=metrics.waiting, limit=int(levels.value("num_requests_waiting_limit"))),
        tokens_per_second=_token_rate(metrics),
        last_minute=_last_minute(service.recent),
        image_cache_bytes=_share(levels, "image_cache_bytes", "image_cache_limit_bytes"),
        prefix_cache_bytes=_share(levels, "prefix_cache_bytes", "prefix_cache_limit_bytes"),
        device=None if device is None else _device(device),
        last_requests=[_request(record) for record in service.recent.last],
    )


def _share(levels: Levels, used: Name, limit: Name) -> Share:
    return Share(used=int(levels.value(used)), limit=int(levels.value(limit)))


def _token_rate(metrics: Metrics) -> TokenRate:
    tokens = metrics.tokens
    return TokenRate(last_10_seconds=tokens.total(10) / 10, last_minute=round(tokens.total(WINDOW) / WINDOW, 2))


def _last_minute(recent: Recent) -> LastMinute:
    outcomes = {outcome: int(rate.total(WINDOW)) for outcome, rate in recent.outcomes.items()}
    return LastMinute(
        **outcomes, prompt_tokens=int(recent.prompt.total(WINDOW)), cached_tokens=int(recent.cached.total(WINDOW))
    )


def _device(state: DeviceState) -> DeviceStatus:
    mode = state.mode
    return DeviceStatus(
        gpu_load=max((gpu.load for gpu in state.gpus if gpu.load is not None), default=None),
        memory_used_bytes=state.memory.used,
        memory_total_bytes=state.memory.total,
        watts=state.watts,
        joules=state.joules,
        temperatures=[
            Temperature(zone=zone.name, celsius=zone.temperature, throttles_at=zone.throttles_at)
            for zone in state.zones
        ],
        throttling=state.throttling,
        power_mode=None if mode is None else mode.name or str(mode.number),
    )


def _request(record: RequestRecord) -> LastRequest:
    return LastRequest(
        time=round(record.time, 3),
        id=record.id,
        client=record.client,
        route=record.route,
        status=record.status,
        outcome=record.outcome,
        code=record.code,
        seconds=round(record.seconds, 4),
        pictures=record.pictures,
        prompt_tokens=record.prompt,
        cached_tokens=record.cached,
        tokens=record.completion,
        confidence=rounded(record.confidence),
        refused=record.refused,
        stages=[StageTime(stage=one.stage, seconds=round(one.seconds, 4)) for one in record.passed],
    )
