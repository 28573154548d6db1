"""From the texts of `image_url` to features, beside the engine's thread. Knows no conversations and no HTTP.

Pictures are decoded by a few workers and encoded by one: the encoder takes every core it can get. A picture that was
sent before is neither decoded nor encoded again, and two clients who send the same frame at once cause one encoding.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from edgevlm_engines import Engine, Floats, Preprocessing

from edgevlm_server.errors import InvalidRequest, NotFound, Refusal, Unavailable, let_go
from edgevlm_server.images.cache import FeatureCache, PictureNames
from edgevlm_server.images.decode.decoder import ImageWorkerBusy, ImageWorkerError
from edgevlm_server.images.fetch import AT_ONCE, ImageFetcher
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.images.intake import ImageFile, ImageIntake, image_file, remote_address
from edgevlm_server.images.pool import FairPool
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.request import Client, EncodedImages, Picture

log = logging.getLogger(__name__)

DECODE_WORKERS = 2
RESOLVERS = AT_ONCE
"""Threads that wait for the name server, which may be silent about one name and not about another: one a fetch."""
AHEAD = 1
"""Pictures of one request that may be decoded while another of it is encoded."""
FETCHES = {
    "image_host_not_allowed": "not_allowed",
    "image_fetch_failed": "failed",
    "image_fetch_timeout": "timeout",
    "image_too_large": "too_large",
}
"""A refusal's code to how the fetch ended."""


class Encoded(NamedTuple):
    """One picture: `features` `[image_tokens, hidden_size]`, and its file's SHA-256."""

    features: Floats
    sha256: str


class _Asking(NamedTuple):
    """One request: its client, and whose turn it is among its pictures."""

    client: Client
    turn: asyncio.Lock


class _VisionFailed(Exception):
    """The vision encoder raised: the engine must not be used again."""


class ImagePipeline:
    """A few pools. Methods are called on the event loop; `close` blocks and may run in a thread."""

    def __init__(
        self,
        engine: Engine,
        preprocessing: Preprocessing,
        metrics: Metrics,
        on_death: Callable[[], None],
        cache_bytes: int,
        limits: ImageLimits,
        hosts: ImageHosts | None = None,
        most_of_one: int | None = None,
    ) -> None:
        """`on_death` is called when the vision encoder has failed: the engine must not be used again.

        `most_of_one` is how many pictures are kept of one client.
        """
        self._loop = asyncio.get_running_loop()
        self._engine = engine
        self._metrics = metrics
        self._on_death = on_death
        self._intake = ImageIntake(limits, preprocessing, DECODE_WORKERS)
        # without a list there is nothing here that could open a connection
        self._fetcher = None if hosts is None else ImageFetcher(hosts, limits, self._resolve)
        self._resolving = ThreadPoolExecutor(RESOLVERS, "resolver")
        self._decoding = FairPool(DECODE_WORKERS, "picture")
        self._encoding = FairPool(1, "vision")
        self.cache = FeatureCache(cache_bytes, most_of_one)
        self._names = PictureNames()
        self._closed = False
        self._encode_began: float | None = None

    def busy_seconds(self) -> float:
        """How long the encoding under way has taken so far."""
        began = self._encode_began
        return 0.0 if began is None else time.monotonic() - began

    async def encode(self, pictures: Sequence[Picture], client: Client) -> EncodedImages:
        """The images in order. Names are the client's own: no other client can reach a picture by them.

        Raises `ApiError`: of several mistakes, the first picture's.
        """
        # one encoding of a request at a time: its other pictures must not stand in front of another request's
        asking = _Asking(client, asyncio.Lock())
        begun: list[asyncio.Task[Encoded] | None] = []
        found: list[Encoded] = []
        try:
            for index, picture in enumerate(pictures):
                begun += [self._begin(one, asking) for one in pictures[len(begun) : index + 1 + AHEAD]]
                task = begun[index]
                # in order: a name may be that of a picture just before
                found.append(self._named(picture, client.name) if task is None else await task)
                if picture.name is not None:
                    self._names.put(client.name, picture.name, found[-1].sha256)
        finally:
            await _give_up([task for task in begun if task is not None])
        none = np.zeros((0, self._engine.info.hidden_size), np.float32)
        return EncodedImages(np.concatenate([none, *(one.features for one in found)]), tuple(e.sha256 for e in found))

    def refuse(self) -> None:
        """Begin no more work: what is under way may end."""
        self._closed = True
        self._decoding.refuse()
        self._encoding.refuse()

    def close(self) -> None:
        """Wait for the work under way and end the worker processes."""
        self._resolving.shutdown(wait=False, cancel_futures=True)
        self._decoding.shutdown()
        self._encoding.shutdown()
        self._intake.close()

    def _begin(self, picture: Picture, asking: _Asking) -> "asyncio.Task[Encoded] | None":
        """`None` for a name alone, which takes no time."""
        if picture.source is None:
            return None
        return asyncio.create_task(self._sent(picture.source, picture.place, asking))

    async def _sent(self, source: bytes | str, place: str, asking: _Asking) -> Encoded:
        """A picture that is part of the request; from the cache if its file was sent before."""
        share = asking.client.share
        try:
            data, sha256 = await self._file(source, share)
            self._metrics.image_queries.inc()
            features, known = await self.cache.get(sha256, lambda: self._decode_and_encode(data, asking), share)
        except ImageError as error:
            raise InvalidRequest(str(error), code=error.code, param=place) from None
        if known:
            self._metrics.image_hits.inc()
        return Encoded(features, sha256)

    def _named(self, picture: Picture, client: str | None) -> Encoded:
        """A picture that this client sent before under this name."""
        assert picture.name is not None, "the schema asks for one of the two"
        self._metrics.image_queries.inc()
        sha256 = self._names.get(client, picture.name)
        features = None if sha256 is None else self.cache.find(sha256)
        if sha256 is None or features is None:
            self._names.drop(client, picture.name)
            raise NotFound(
                "No picture is stored under this uuid (any more); send it again with its image_url.",
                code="image_not_cached",
                param=picture.place,
            )
        self._metrics.image_hits.inc()
        return Encoded(features, sha256)

    async def _file(self, source: bytes | str, share: str) -> ImageFile:
        if isinstance(source, bytes):
            return await self._decoding.run(share, lambda: image_file(source))
        url, address = source, remote_address(source)
        if self._fetcher is None or address is None:
            return await self._decoding.run(share, lambda: self._intake.read(url))
        if self._closed:
            raise Unavailable.draining()
        data = await self._fetch(self._fetcher, address)
        return await self._decoding.run(share, lambda: image_file(data))

    async def _fetch(self, fetcher: ImageFetcher, address: str) -> bytes:
        start, outcome = time.monotonic(), "cancelled"
        try:
            data = await fetcher.fetch(address)
            outcome = "ok"
            return data
        except ImageError as error:
            outcome = FETCHES[error.code]
            raise
        finally:
            self._metrics.fetched(outcome, time.monotonic() - start)

    async def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a name, as texts."""
        if self._closed:
            raise Unavailable.draining()
        found = await self._loop.run_in_executor(
            self._resolving, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]

    async def _decode_and_encode(self, data: bytes, asking: _Asking) -> Floats | Refusal:
        try:
            pixels = await self._decode(data, asking.client.share)
            async with asking.turn:
                return await self._encode(pixels, asking.client.share)
        except ImageError as error:
            let_go(error)
            return error.again
        except ImageWorkerBusy:
            log.warning("The machine is too busy to decode a picture in time.")
            return Unavailable.too_busy_to_decode
        except ImageWorkerError:
            log.exception("No picture can be decoded.")
            return Unavailable.undecoded
        except Unavailable:
            return Unavailable.draining
        except _VisionFailed:
            return Unavailable.dead

    async def _decode(self, data: bytes, share: str) -> Floats:
        start = time.monotonic()
        pixels = await self._decoding.run(share, lambda: self._intake.pixels(data))
        self._metrics.image_decode.observe(time.monotonic() - start)
        return pixels

    async def _encode(self, pixels: Floats, share: str) -> Floats:
        start = time.monotonic()
        encoded = await self._encoding.run(share, lambda: self._encode_now(pixels))
        self._metrics.image_encode.observe(time.monotonic() - start)
        return encoded

    def _encode_now(self, pixels: Floats) -> Floats:
        """In the encoder's thread."""
        self._encode_began = began = time.monotonic()
        try:
            features: Floats = self._engine.encode_images(pixels[np.newaxis])[0]
            self._metrics.encode_step.observe(time.monotonic() - began)
            return features
        except Exception as error:
            log.exception("The vision encoder failed.")
            # from here, because nobody may be left to hear of it
            self._loop.call_soon_threadsafe(self._on_death)
            raise _VisionFailed from error
        finally:
            self._encode_began = None


async def _give_up(tasks: Sequence["asyncio.Task[Encoded]"]) -> None:
    """Harmless for those that have ended."""
    for task in tasks:
        task.cancel()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(end, InvalidRequest):  # of a later picture than the one whose mistake is told
            let_go(end)
