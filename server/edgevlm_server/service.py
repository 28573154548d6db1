"""What the server is while it lives: its state, its model, and the way from a checked request to a ticket.

Threads here only carry work: pictures are decoded in one pool and encoded by one worker, beside the batcher.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Floats

from edgevlm_server.admission import Admission
from edgevlm_server.batcher import Batcher, Ticket
from edgevlm_server.errors import InvalidRequest, NotFound, Unavailable
from edgevlm_server.image_decoder import ImageWorkerError
from edgevlm_server.image_input import ImageIntake
from edgevlm_server.image_limits import ImageError, ImageLimits
from edgevlm_server.metrics import Metrics
from edgevlm_server.model import Model
from edgevlm_server.prompt import Turn, encode_conversation
from edgevlm_server.sampling import SamplingParams
from edgevlm_server.schema import MAX_TEXT, ChatRequest
from edgevlm_server.sequence import Sequence as Row
from edgevlm_server.settings import Settings

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "draining", "dead"]
DECODE_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Running:
    """What exists once the model is loaded."""

    model: Model
    intake: ImageIntake
    batcher: Batcher
    decoding: ThreadPoolExecutor
    encoding: ThreadPoolExecutor

    def close(self) -> None:
        """Stop everything. Blocks until it is gone; requests that are still being prepared end with an error."""
        self.batcher.close()
        self.decoding.shutdown()
        self.encoding.shutdown()
        self.intake.close()
        # last: until here an encoding may be under way
        self.model.engine.close()


class Service:
    """One server. All methods are called on the event loop."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.admission = Admission(settings.max_batch, settings.max_queue)
        self.state: State = "loading"
        self.started = int(time.time())
        self._running: Running | None = None
        self.died = asyncio.Event()
        """Set when the engine has failed: whoever runs the process should end it."""

    async def start(self, load: Callable[[], Model]) -> None:
        """Load the model in a thread and open for requests. What `load` raises comes out of here."""
        model = await asyncio.to_thread(load)
        info = model.engine.info
        self._running = Running(
            model=model,
            intake=ImageIntake(ImageLimits(), model.manifest.preprocessing, DECODE_WORKERS),
            batcher=Batcher(model.engine, self.metrics, self._engine_died),
            decoding=ThreadPoolExecutor(DECODE_WORKERS, "picture"),
            encoding=ThreadPoolExecutor(1, "vision"),
        )
        self.metrics.model(model.manifest.model, info.name, info.device, info.precision)
        if self.state == "loading":
            self._enter("ready")

    async def drain(self) -> None:
        """Take no new requests, let those inside end, for `drain_timeout` at most, then close everything."""
        if self.state != "dead":
            self._enter("draining")
        deadline = time.monotonic() + self.settings.drain_timeout
        while self.admission.inside and self.state != "dead" and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self.close()

    async def close(self) -> None:
        """End every request that is left with an error and release everything."""
        running, self._running = self._running, None
        if running is not None:
            await asyncio.to_thread(running.close)

    def running(self) -> Running:
        """What is needed to serve. Raises `Unavailable` in every state but `ready`."""
        refusals = {
            "loading": Unavailable.loading,
            "draining": Unavailable.draining,
            "dead": Unavailable.dead,
        }
        if self.state in refusals:
            raise refusals[self.state]()
        assert self._running is not None
        return self._running

    async def submit(self, running: Running, chat: ChatRequest) -> Ticket:
        """Turn a checked request into a queued sequence. Raises `ApiError` if it cannot be served.

        `running` is what the request found when it came: one that came before a drain is still answered.
        """
        model = running.model
        if chat.model not in (None, model.manifest.model):
            raise NotFound(
                f"This server has one model, '{model.manifest.model}'.", code="model_not_found", param="model"
            )
        system, turns, urls = self._conversation(chat)
        prompt = model.manifest.prompt
        # short texts take microseconds; the longest that are allowed, milliseconds
        tokens = np.array(
            encode_conversation(model.tokenizer, prompt, model.manifest.vision.image_tokens, turns, system),
            np.int64,
        )
        max_tokens = _token_limit(chat, len(tokens), model.engine.info.max_length)
        features = await self._features(running, urls)
        assert len(features) == np.count_nonzero(tokens == IMAGE_TOKEN)
        return running.batcher.submit(
            Row(
                prompt=tokens,
                features=features,
                max_tokens=max_tokens,
                stop_ids=frozenset(prompt.stop_ids),
                sampling=SamplingParams(
                    temperature=chat.temperature or 0.0,
                    top_p=1.0 if chat.top_p is None else chat.top_p,
                    top_k=max(chat.top_k or 0, 0),
                    seed=chat.seed,
                ),
            )
        )

    def _conversation(self, chat: ChatRequest) -> tuple[str | None, list[Turn], list[tuple[str, str]]]:
        """System text, turns, and each image's text with the place it stands at, in the prompt's order."""
        system: str | None = None
        turns: list[Turn] = []
        urls: list[tuple[str, str]] = []
        for index, message in enumerate(chat.messages):
            place = f"messages.{index}"
            if message.images and message.role != "user":
                raise _invalid("Only a user message can hold images.", f"{place}.content")
            if message.role in ("system", "developer"):
                if index:
                    raise _invalid("A system message must be the first one.", f"{place}.role")
                system = message.text
                continue
            role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
            turns.append(Turn(role, message.text, len(message.images)))
            urls += [(image.url, f"{place}.content") for image in message.images]
        if not turns or turns[-1].role != "user":
            raise _invalid("The last message must be the user's.", "messages")
        if sum(len(turn.text) for turn in turns) + len(system or "") > MAX_TEXT:
            # told before it is tokenised, which takes time in proportion
            raise InvalidRequest(
                f"All texts together are longer than {MAX_TEXT} characters.",
                code="context_length_exceeded",
                param="messages",
            )
        if len(urls) > self.settings.max_images:
            raise InvalidRequest(
                f"A request can hold at most {self.settings.max_images} images.",
                code="too_many_images",
                param="messages",
            )
        return system, turns, urls

    async def _features(self, running: Running, urls: Sequence[tuple[str, str]]) -> Floats:
        """Decode and encode the images, in order: `[len(urls) * image_tokens, hidden_size]`."""
        loop = asyncio.get_running_loop()
        info = running.model.engine.info
        features = [np.zeros((0, info.hidden_size), np.float32)]
        for url, place in urls:
            start = time.monotonic()
            try:
                picture = await loop.run_in_executor(running.decoding, running.intake.picture, url)
            except ImageError as error:
                raise InvalidRequest(str(error), code=error.code, param=place) from None
            except ImageWorkerError:
                log.exception("No picture can be decoded.")
                raise Unavailable.undecoded() from None
            self.metrics.image_decode.observe(time.monotonic() - start)
            start = time.monotonic()
            encode = running.model.engine.encode_images
            encoded = await loop.run_in_executor(running.encoding, encode, picture.pixels[np.newaxis])
            self.metrics.image_encode.observe(time.monotonic() - start)
            features.append(encoded[0])
        return np.concatenate(features)

    def _engine_died(self) -> None:
        self._enter("dead")
        self.died.set()

    def _enter(self, state: State) -> None:
        self.state = state
        self.metrics.state(state)
        log.info("The server is %s.", state)


def _invalid(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)


def _token_limit(chat: ChatRequest, prompt_length: int, longest: int) -> int:
    """How many tokens may be generated; refused if prompt and answer do not fit into one row."""
    wanted = chat.token_limit
    if prompt_length + (wanted or 1) > longest:
        raise InvalidRequest(
            f"The context has {longest} positions; this prompt takes {prompt_length} "
            f"(images included) and asks for {wanted or 1} more.",
            code="context_length_exceeded",
            param="messages",
        )
    return longest - prompt_length if wanted is None else wanted
