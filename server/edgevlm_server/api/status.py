"""What `/status` answers: how the server is, at a glance. Knows fields, no values."""

from pydantic import BaseModel, ConfigDict

from edgevlm_server.observe.labels import Outcome, State
from edgevlm_server.refusals import Refused


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Share(_Part):
    """So much of what there is."""

    used: int
    limit: int


class TokenRate(_Part):
    """Tokens generated a second, on average."""

    last_10_seconds: float
    last_minute: float


class LastMinute(_Part):
    """Requests that ended within the last minute, by how they did; those that only look are not counted.

    `prompt_tokens` are positions, images included; `cached_tokens` of them had been computed before.
    """

    ok: int
    refused: int
    failed: int
    left: int
    prompt_tokens: int
    cached_tokens: int


class Temperature(_Part):
    """Degrees Celsius; `throttles_at` is where the system begins to slow down because of it."""

    zone: str
    celsius: float
    throttles_at: float | None


class DeviceStatus(_Part):
    """What the machine says of itself; null is what it does not say.

    `gpu_load` is from 0 to 1, of the busiest GPU. `watts` are those of a whole Jetson, or of a PC's GPUs; `joules`
    are the same since the server's start.
    """

    gpu_load: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    watts: float | None
    joules: float | None
    temperatures: list[Temperature]
    throttling: bool | None
    power_mode: str | None


class StageTime(_Part):
    stage: str
    seconds: float


class LastRequest(_Part):
    """One that is over: nothing of what was asked or answered. `time` in Unix seconds; stages in their order.

    `confidence` is that of its answer, of several the least; `refused` says why one is none.
    """

    time: float
    id: str
    client: str | None
    route: str | None
    status: int
    outcome: Outcome
    code: str | None
    seconds: float
    pictures: int
    prompt_tokens: int
    cached_tokens: int
    tokens: int
    confidence: float | None
    refused: Refused | None
    stages: list[StageTime]


class Status(_Part):
    """`model` is null while it loads; `device` is null where nothing is known of it."""

    state: State
    time: float
    uptime_seconds: float
    version: str
    model: str | None
    slots: Share
    queue: Share
    tokens_per_second: TokenRate
    last_minute: LastMinute
    image_cache_bytes: Share
    prefix_cache_bytes: Share
    device: DeviceStatus | None
    last_requests: list[LastRequest]
