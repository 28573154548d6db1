"""What the server is while it lives: its state, and what it holds in it. Knows no routes and no conversations."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from edgevlm_server.audit.audit import Audit
from edgevlm_server.device.device import Device
from edgevlm_server.device.state import DeviceState
from edgevlm_server.errors import Unavailable
from edgevlm_server.guided.compiler import GrammarCompiler
from edgevlm_server.images.cache import FeatureCache
from edgevlm_server.images.formats.limits import ImageLimits
from edgevlm_server.images.pipeline import ImagePipeline
from edgevlm_server.model import Model
from edgevlm_server.observe.access_log import log_request
from edgevlm_server.observe.exchange import Exchange
from edgevlm_server.observe.labels import State
from edgevlm_server.observe.levels import Levels
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.recent import Recent
from edgevlm_server.observe.record import Readers
from edgevlm_server.runtime.admission import Admission
from edgevlm_server.runtime.batcher import Batcher
from edgevlm_server.runtime.limits import ClientLimits
from edgevlm_server.runtime.prefix_cache import PrefixCache
from edgevlm_server.runtime.work import Work
from edgevlm_server.settings import Settings

log = logging.getLogger(__name__)

Result = TypeVar("Result")

CLOSE_SECONDS = 5.0
"""How long closing may take: a step and an encoding end within it, an engine that hangs does not."""
HUNG_SECONDS = 0.5
"""The same once the engine is known to hang: what does not wait for it is closed."""
SENSOR_SECONDS = 1.5
"""How long the device's sensors may take; what they say is not worth a longer wait."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What exists once the model is loaded."""

    model: Model
    pictures: ImagePipeline
    batcher: Batcher
    grammars: GrammarCompiler

    def refuse(self) -> None:
        """Begin nothing new. Called on the event loop."""
        self.grammars.refuse()
        self.pictures.refuse()
        self.batcher.refuse()

    def close(self) -> None:
        """Release everything. Blocks; one part that fails does not keep the others."""
        # the engine last: until the pools are empty an encoding may be under way
        for part in (self.batcher, self.pictures, self.grammars, self.model.engine):
            try:
                part.close()
            except Exception:
                log.exception("Closing went wrong; going on.")


class Service:
    """One server. All methods are called on the event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, audit: Audit | None = None) -> None:
        self.settings = settings
        self.metrics = metrics
        self.recent = Recent()
        self.readers = Readers(metrics.requests, log_request, self.recent)
        """Of the records of its requests."""
        self._audit = audit
        if audit is not None:
            self.readers.add(audit)
        limits = ClientLimits(settings.limit_requests_per_minute, settings.limit_tokens_per_minute)
        self.admission = Admission(settings.max_batch, settings.max_queue, limits, settings.limit_requests_at_once)
        self.device: Device | None = None
        """What the server runs on, once `watch_device` has found it."""
        self.state: State = "loading"
        self.started = int(time.time())
        self.died = asyncio.Event()
        """Set when the engine has failed: whoever runs the process should end it."""
        self._loaded: Loaded | None = None
        self._preparing: set[Work] = set()
        """What requests wait for before they are queued."""
        self._hangs = False
        """A thread is in a call of the engine that does not return."""
        self._watch: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[bool] | None = None
        _watch_places(metrics.levels, settings, self.admission)

    async def start(self, load: Callable[[], Model]) -> None:
        """Load the model in a thread and open for requests. What `load` raises comes out of here."""
        model = await asyncio.to_thread(load)
        if self._closing is not None:
            await asyncio.to_thread(model.engine.close)
            return
        info, temperature = model.engine.info, model.about.confidence_temperature
        self.admission.slots = info.slots
        batcher = Batcher(model.engine, self.metrics, self.engine_died, self.settings.prefix_cache, temperature)
        pictures = ImagePipeline(
            model.engine,
            model.manifest.preprocessing,
            self.metrics.images,
            self.engine_died,
            self.settings.image_cache,
            ImageLimits(decode_seconds=self.settings.image_timeout),
            self.settings.image_hosts,
            self.settings.limit_pictures_kept,
        )
        prompt = model.manifest.prompt
        grammars = GrammarCompiler(model.tokenizer, prompt.bos_id, {prompt.eos_id, *prompt.stop_ids})
        self._loaded = Loaded(model, pictures, batcher, grammars)
        _watch_caches(self.metrics.levels, self.settings, pictures.cache, batcher.prefixes)
        self._watch = asyncio.create_task(self._watch_engine(self._loaded))
        self.metrics.model(model.manifest.model, info.name, info.device, info.precision)
        if self.state == "loading":
            self._enter("ready")

    async def watch_device(self, open_device: Callable[[], Device]) -> None:
        """Tell of the device from now on. Finding it may take a second, so the server does not wait for it."""
        self.device = await asyncio.to_thread(open_device)
        self.metrics.watch(self.device)

    @property
    def model(self) -> str | None:
        """The name that clients give it; `None` while there is none."""
        return None if self._loaded is None else self._loaded.model.manifest.model

    def exchange(self) -> Exchange | None:
        """For a generating request that begins, if an audit is kept."""
        return None if self._audit is None else self._audit.exchange()

    async def device_state(self) -> DeviceState | None:
        """What the device says now; `None` if there is none, or it does not answer in time."""
        if self.device is None:
            return None
        try:
            return await asyncio.wait_for(asyncio.to_thread(self.device.state), SENSOR_SECONDS)
        except asyncio.TimeoutError:
            return None

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics, made in a thread: they take milliseconds, and the device's sensors answer over slow buses."""
        return await asyncio.to_thread(self.metrics.exposition, accept)

    def loaded(self) -> Loaded:
        """What is needed to serve. Raises `Unavailable` in every state but `ready`."""
        if self.state == "loading":
            raise Unavailable.loading()
        if self.state == "draining":
            raise Unavailable.draining()
        if self.state == "dead" or self._loaded is None:
            raise Unavailable.dead()
        return self._loaded

    async def drain(self) -> bool:
        """Take no new requests, let those inside end, for `drain_timeout` at most, then close; see `close`."""
        if self.state != "dead":
            self._enter("draining")
        self.admission.bodies.give_up(Unavailable.draining)
        deadline = time.monotonic() + self.settings.drain_timeout
        while self.admission.inside and self.state != "dead" and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return await self.close()

    async def close(self) -> bool:
        """End every request that is left with an error and release everything; false if something hangs.

        Whoever calls it again waits for the same.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        return await asyncio.shield(self._closing)

    async def end_audit(self) -> bool:
        """Write down what is left, behind the last byte of the last answer; false if the disk hangs."""
        return self._audit is None or await asyncio.to_thread(self._audit.close)

    async def prepare(self, work: Work, what: Callable[[], Awaitable[Result]]) -> Result:
        """Do what a request needs before it is queued, unless the server ends meanwhile. Raises `Unavailable`."""
        self.loaded()
        self._preparing.add(work)
        try:
            return await work.do(what)
        finally:
            self._preparing.discard(work)

    def engine_died(self) -> None:
        """The engine has failed and must not be used again: every request ends now, wherever it waits."""
        if self.state == "dead":
            return
        self._enter("dead")
        self.died.set()
        self.admission.bodies.give_up(Unavailable.dead)
        self._end_preparing()
        if self._loaded is not None:
            self._loaded.batcher.abandon(Unavailable.dead)

    async def _close(self) -> bool:
        if self._watch is not None:
            self._watch.cancel()
        loaded, self._loaded = self._loaded, None
        clean = loaded is None or await self._close_loaded(loaded)
        # a sensor may keep it for a while, and nobody waits for it
        return (self.device is None or await asyncio.to_thread(self.device.close)) and clean

    async def _close_loaded(self, loaded: Loaded) -> bool:
        loaded.refuse()
        self._end_preparing()
        closing = asyncio.create_task(asyncio.to_thread(loaded.close))
        seconds = HUNG_SECONDS if self._hangs else CLOSE_SECONDS
        _, pending = await asyncio.wait({closing}, timeout=seconds)
        if pending:
            what = "a step of the engine, or a picture that is being decoded"
            log.error("Not everything ended in %g s: %s.", seconds, what)
            loaded.batcher.abandon(Unavailable.draining)
        return not pending

    def _end_preparing(self) -> None:
        while self._preparing:
            self._preparing.pop().give_up(Unavailable.dead() if self.state == "dead" else Unavailable.draining())

    async def _watch_engine(self, loaded: Loaded) -> None:
        """A step or an encoding that takes longer than `engine_timeout` counts as dead: nobody waits for ever."""
        limit = self.settings.engine_timeout
        while max(loaded.batcher.busy_seconds(), loaded.pictures.busy_seconds()) < limit:
            await asyncio.sleep(min(1.0, limit / 4))
        log.error("The engine has not answered for %.0f s; every request is refused from now on.", limit)
        self._hangs = True
        self.engine_died()

    def _enter(self, state: State) -> None:
        self.state = state
        self.metrics.state(state)
        log.info("The server is %s.", state)


def _watch_places(levels: Levels, settings: Settings, admission: Admission) -> None:
    levels.watch("num_requests_running_limit", lambda: admission.slots)
    levels.watch("num_requests_waiting_limit", lambda: settings.max_queue)
    levels.watch("num_requests_inside", lambda: admission.inside)
    levels.watch("num_requests_inside_limit", lambda: admission.limit)
    levels.watch("bodies_arriving", lambda: len(admission.bodies.arriving))


def _watch_caches(levels: Levels, settings: Settings, images: FeatureCache, prefixes: PrefixCache) -> None:
    levels.watch("image_cache_bytes", lambda: images.bytes)
    levels.watch("image_cache_limit_bytes", lambda: settings.image_cache)
    levels.watch("image_cache_evictions", lambda: images.evicted)
    levels.watch("prefix_cache_bytes", lambda: prefixes.bytes)
    levels.watch("prefix_cache_limit_bytes", lambda: settings.prefix_cache)
    levels.watch("prefix_cache_evictions", lambda: prefixes.evicted)
