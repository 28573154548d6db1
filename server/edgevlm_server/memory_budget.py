"""Whether what was asked for fits into memory: the memory plan at start, and advice if it does not. Loads nothing."""

import logging
import platform
import sys
from dataclasses import replace

from edgevlm_engines import (
    Demand,
    EngineLoadError,
    Manifest,
    MemoryPlan,
    NotNow,
    alternatives,
    engine_for,
    fewer_slots,
    model_place,
    plan_memory,
    provider_for,
    size_text,
    slot_length,
)

from edgevlm_server.audit.outbox import OUTBOX_BYTES
from edgevlm_server.options import flag
from edgevlm_server.settings import Settings

log = logging.getLogger(__name__)

SETTINGS = {
    "slots": "max_batch",
    "max_length": "max_length",
    "prefix_cache": "prefix_cache",
    "image_cache": "image_cache",
    "queue": "max_queue",
}
"""From what can be made smaller in a demand to settings, in the order in which advice names them."""

UNKNOWN = sys.maxsize
MIB = 2**20


class MemoryBudget:
    """What one server may take: `available` bytes (`None`: unknown), or what `--memory` allows where that is less.

    `installed` is what there would be if nothing else ran.
    """

    def __init__(
        self, manifest: Manifest, settings: Settings, available: int | None, installed: int | None = None
    ) -> None:
        """Raises `EngineLoadError` if the bundle does not allow what the settings ask for."""
        self._manifest = manifest
        engine, provider = engine_for(manifest, settings.engine), provider_for(manifest, settings.provider)
        self._place = model_place(engine, provider, platform.machine())
        self._asked = demand_of(settings, slot_length(manifest, settings.max_batch, settings.max_length))
        self._available = UNKNOWN if available is None else available
        self._allowed = self._available if settings.memory is None else settings.memory
        self._limit = min(self._available, self._allowed)
        self._possible = min(installed or 0, settings.memory or UNKNOWN)
        """At another time."""
        self._choose_slots = settings.memory is not None

    def plan(self) -> MemoryPlan:
        """As asked, or with `--memory` as many of the slots as fit. Raises `EngineLoadError` with advice.

        That is `NotNow` where it would fit if others ended.
        """
        plan = self._plan(self._asked)
        if self._choose_slots and plan.total > self._limit:
            fewer = fewer_slots(self._manifest, self._asked, self._place, self._limit)
            plan = self._plan(fewer or replace(self._asked, slots=1))
        if plan.total > self._limit:
            kind = NotNow if plan.total <= self._possible else EngineLoadError
            raise kind(f"There is not enough memory: {self._account(plan)}; {self._advice(plan)}.")
        log.info("Memory: %s.", self._account(plan))
        return plan

    def _plan(self, demand: Demand) -> MemoryPlan:
        return plan_memory(self._manifest, demand, self._place)

    def _account(self, plan: MemoryPlan) -> str:
        if self._limit == UNKNOWN:
            return f"{plan}; how much there is, this system does not say"
        whose = "that --memory allows" if self._allowed < self._available else "available"
        return f"{plan} of {size_text(self._limit)} {whose}"

    def _advice(self, plan: MemoryPlan) -> str:
        """Options and values with which the next start succeeds, as far as there are any."""
        ways = [
            _options(plan.demand, smaller)
            for smaller in alternatives(self._manifest, plan.demand, self._place, self._limit)
        ]
        if self._allowed < plan.total <= self._available:
            ways.append(f"--memory {-(-plan.total // MIB)}M")
        if not ways:
            return (
                "end other programs, or serve a smaller model or the same in fewer bits (edgevlm export --precision)"
            )
        return "give " + ", or ".join(ways)


def demand_of(settings: Settings, length: int) -> Demand:
    """What settings ask for, with slots of `length` positions."""
    return Demand(
        slots=settings.max_batch,
        max_length=length,
        image_cache=settings.image_cache,
        prefix_cache=settings.prefix_cache,
        queue=settings.max_queue,
        max_body=settings.max_body,
        audit=0 if settings.audit is None else OUTBOX_BYTES,
    )


def _options(demand: Demand, smaller: Demand) -> str:
    """The options that make one demand of the other."""
    changed = {
        field: getattr(smaller, field) for field in SETTINGS if getattr(smaller, field) != getattr(demand, field)
    }
    return " ".join(f"{flag(SETTINGS[field])} {_value(field, value)}" for field, value in changed.items())


def _value(field: str, value: int) -> str:
    return f"{value // MIB}M" if field.endswith("cache") and value else str(value)
