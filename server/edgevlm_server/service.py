"""What the server is while it lives: its state, and what it holds in it. Knows no routes and no conversations."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgevlm_server.errors import Unavailable
from edgevlm_server.guided.compiler import GrammarCompiler
from edgevlm_server.images.pipeline import ImagePipeline
from edgevlm_server.metrics import Metrics
from edgevlm_server.model import Model
from edgevlm_server.runtime.admission import Admission
from edgevlm_server.runtime.batcher import Batcher
from edgevlm_server.settings import Settings

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "draining", "dead"]

CLOSE_SECONDS = 5.0
"""How long closing may take: a step and an encoding end within it, an engine that hangs does not."""


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

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.admission = Admission(settings.max_batch, settings.max_queue)
        self.state: State = "loading"
        self.started = int(time.time())
        self.died = asyncio.Event()
        """Set when the engine has failed: whoever runs the process should end it."""
        self._loaded: Loaded | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, load: Callable[[], Model]) -> None:
        """Load the model in a thread and open for requests. What `load` raises comes out of here."""
        model = await asyncio.to_thread(load)
        info = model.engine.info
        self.admission.slots = info.slots
        batcher = Batcher(model.engine, self.metrics, self.engine_died, self.settings.prefix_cache)
        pictures = ImagePipeline(model, self.metrics, self.settings.image_cache, self.settings.image_hosts)
        prompt = model.manifest.prompt
        grammars = GrammarCompiler(model.tokenizer, prompt.bos_id, {prompt.eos_id, *prompt.stop_ids})
        self._loaded = Loaded(model, pictures, batcher, grammars)
        self._watch = asyncio.create_task(self._watch_engine(self._loaded))
        self.metrics.model(model.manifest.model, info.name, info.device, info.precision)
        if self.state == "loading":
            self._enter("ready")

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
        self.admission.give_up_bodies()
        deadline = time.monotonic() + self.settings.drain_timeout
        while self.admission.inside and self.state != "dead" and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return await self.close()

    async def close(self) -> bool:
        """End every request that is left with an error and release everything; false if something hangs."""
        if self._watch is not None:
            self._watch.cancel()
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            return True
        loaded.refuse()
        closing = asyncio.create_task(asyncio.to_thread(loaded.close))
        _, pending = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        if pending:
            log.error("The engine does not end.")
            loaded.batcher.abandon(Unavailable.draining)
        return not pending

    def engine_died(self) -> None:
        """The engine has failed and must not be used again."""
        if self.state != "dead":
            self._enter("dead")
            self.died.set()

    async def _watch_engine(self, loaded: Loaded) -> None:
        """A step or an encoding that takes longer than `engine_timeout` counts as dead: nobody waits for ever."""
        limit = self.settings.engine_timeout
        while max(loaded.batcher.busy_seconds(), loaded.pictures.busy_seconds()) < limit:
            await asyncio.sleep(min(1.0, limit / 4))
        log.error("The engine has not answered for %.0f s; every request is refused from now on.", limit)
        self.engine_died()
        loaded.batcher.abandon(Unavailable.dead)

    def _enter(self, state: State) -> None:
        self.state = state
        self.metrics.state(state)
        log.info("The server is %s.", state)
