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
from typing import TypeVar

import numpy as np
from edgevlm_engines import Engine, Floats, Preprocessing

from edgevlm_server.errors import InvalidRequest, NotFound, Unavailable
from edgevlm_server.images.cache import FeatureCache, PictureNames, Refusal
from edgevlm_server.images.decoder import ImageWorkerError
from edgevlm_server.images.fetch import ImageFetcher
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.images.intake import ImageFile, ImageIntake, image_file, remote_address
from edgevlm_server.images.limits import ImageError, ImageLimits
from edgevlm_server.metrics import Metrics
from edgevlm_server.request import EncodedImages, Picture

log = logging.getLogger(__name__)

DECODE_WORKERS = 2
RESOLVERS = 2
"""Threads that wait for the name server: one that is silent holds up other fetches and nothing else."""
AHEAD = 1
"""Pictures of one request that may be decoded while another of it is encoded."""
FETCHES = {
    "image_host_not_allowed": "not_allowed",
    "image_fetch_failed": "failed",
    "image_fetch_timeout": "timeout",
    "image_too_large": "too_large",
}
"""A refusal's code to how the fetch ended."""

Result = TypeVar("Result")


class ImagePipeline:
    """A few pools. Methods are called on the event loop; `close` blocks and may run in a thread."""

    def __init__(
        self,
        engine: Engine,
        preprocessing: Preprocessing,
        metrics: Metrics,
        on_death: Callable[[], None],
        cache_bytes: int,
        hosts: ImageHosts | None = None,
    ) -> None:
        """`on_death` is called when the vision encoder has failed: the engine must not be used again."""
        limits = ImageLimits()
        self._engine = engine
        self._metrics = metrics
        self._on_death = on_death
        self._intake = ImageIntake(limits, preprocessing, DECODE_WORKERS)
        # without a list there is nothing here that could open a connection
        self._fetcher = None if hosts is None else ImageFetcher(hosts, limits, self._resolve)
        self._resolving = ThreadPoolExecutor(RESOLVERS, "resolver")
        self._decoding = ThreadPoolExecutor(DECODE_WORKERS, "picture")
        self._encoding = ThreadPoolExecutor(1, "vision")
        self._cache = FeatureCache(cache_bytes)
        self._names = PictureNames()
        self._closed = False
        self._encode_began: float | None = None

    def busy_seconds(self) -> float:
        """How long the encoding under way has taken so far."""
        began = self._encode_began
        return 0.0 if began is None else time.monotonic() - began

    async def encode(self, pictures: Sequence[Picture], client: str | None) -> EncodedImages:
        """The images in order. Names are the client's own: no other client can reach a picture by them.

        Raises `ApiError`.
        """
        tasks: list[asyncio.Task[tuple[Floats, str]]] = []
        try:
            for picture in pictures:
                # a name may be that of a picture just before
                for task in tasks if picture.source is None else tasks[:-AHEAD]:
                    await task
                tasks.append(asyncio.create_task(self._one(picture, client)))
            found = [await task for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        none = np.zeros((0, self._engine.info.hidden_size), np.float32)
        return EncodedImages(np.concatenate([none, *(one for one, _ in found)]), tuple(sha256 for _, sha256 in found))

    def refuse(self) -> None:
        """Begin no more work: what is under way may end."""
        self._closed = True

    def close(self) -> None:
        """Wait for the work under way and end the worker processes."""
        self._resolving.shutdown(wait=False, cancel_futures=True)
        self._decoding.shutdown()
        self._encoding.shutdown()
        self._intake.close()

    async def _one(self, picture: Picture, client: str | None) -> tuple[Floats, str]:
        """Features `[image_tokens, hidden_size]`, from the cache if the file was sent before, and its SHA-256."""
        if picture.source is None:
            assert picture.name is not None, "the schema asks for one of the two"
            return self._named(client, picture.name, picture.place)
        try:
            data, sha256 = await self._file(picture.source)
            self._metrics.image_queries.inc()
            features, known = await self._cache.get(sha256, lambda: self._decode_and_encode(data))
        except ImageError as error:
            raise InvalidRequest(str(error), code=error.code, param=picture.place) from None
        if known:
            self._metrics.image_hits.inc()
        if picture.name is not None:
            self._names.put(client, picture.name, sha256)
        return features, sha256

    def _named(self, client: str | None, name: str, place: str) -> tuple[Floats, str]:
        """A picture that this client sent before under this name."""
        self._metrics.image_queries.inc()
        sha256 = self._names.get(client, name)
        features = None if sha256 is None else self._cache.find(sha256)
        if sha256 is None or features is None:
            self._names.drop(client, name)
            raise NotFound(
                "No picture is stored under this uuid (any more); send it again with its image_url.",
                code="image_not_cached",
                param=place,
            )
        self._metrics.image_hits.inc()
        return features, sha256

    async def _file(self, source: bytes | str) -> ImageFile:
        if isinstance(source, bytes):
            return await self._run(self._decoding, lambda: image_file(source))
        url, address = source, remote_address(source)
        if self._fetcher is None or address is None:
            return await self._run(self._decoding, lambda: self._intake.read(url))
        if self._closed:
            raise Unavailable.draining()
        data = await self._fetch(self._fetcher, address)
        return await self._run(self._decoding, lambda: image_file(data))

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
        found = await self._run(self._resolving, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return [str(address[0]) for *_, address in found]

    async def _decode_and_encode(self, data: bytes) -> Floats | Refusal:
        start = time.monotonic()
        try:
            pixels = await self._run(self._decoding, lambda: self._intake.pixels(data))
        except ImageError as error:
            return error.again
        except ImageWorkerError:
            log.exception("No picture can be decoded.")
            return Unavailable.undecoded
        decoded = time.monotonic()
        self._metrics.image_decode.observe(decoded - start)
        try:
            encoded = await self._run(self._encoding, lambda: self._encode_now(pixels[np.newaxis]))
        except Unavailable:
            return Unavailable.draining
        except Exception:
            log.exception("The vision encoder failed.")
            self._on_death()
            return Unavailable.dead
        self._metrics.image_encode.observe(time.monotonic() - decoded)
        features: Floats = encoded[0]
        return features

    def _encode_now(self, pixels: Floats) -> Floats:
        """In the encoder's thread."""
        self._encode_began = time.monotonic()
        try:
            return self._engine.encode_images(pixels)
        finally:
            self._encode_began = None

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        if self._closed:
            raise Unavailable.draining()
        return await asyncio.get_running_loop().run_in_executor(pool, work)
