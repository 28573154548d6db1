"""From the texts of `image_url` to features, beside the engine's thread. Knows no conversations and no HTTP.

Pictures are decoded by a few workers and encoded by one: the encoder takes every core it can get. A picture that was
sent before is neither decoded nor encoded again, and two clients who send the same frame at once cause one encoding.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from edgevlm_engines import Engine, Floats, Preprocessing

from edgevlm_server.errors import CameraFailed, InvalidRequest, MakeError, NotFound, Unavailable, let_go
from edgevlm_server.images.cache import FeatureCache, PictureNames, part_digest
from edgevlm_server.images.decode.square import Square
from edgevlm_server.images.fetch import ImageFetcher
from edgevlm_server.images.formats.header import format_of
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.images.intake import ImageFile, ImageIntake, image_file, remote_address
from edgevlm_server.images.lookups import Lookups
from edgevlm_server.images.parts import TOGETHER, PartDecoder
from edgevlm_server.images.pool import FairPool
from edgevlm_server.images.region import Region
from edgevlm_server.images.same_file import Part, parts_of
from edgevlm_server.observe.exchange import Seen
from edgevlm_server.observe.image_metrics import ImageMetrics
from edgevlm_server.request import Client, EncodedImages, Picture

log = logging.getLogger(__name__)

DECODE_WORKERS = 2
AHEAD = 1
"""Pictures of one request that may be decoded while another of it is encoded, beside others of the same files."""
FETCH_OUTCOMES = {
    "image_host_not_allowed": "not_allowed",
    "image_fetch_failed": "failed",
    "image_fetch_timeout": "timeout",
    "image_too_large": "too_large",
}
"""A refusal's code to how the fetch ended."""

Look = Callable[[int, Seen, bytes | None], None]
"""Is told of a request's pictures by their place, with the file if it was sent; called on the event loop."""


class Encoded(NamedTuple):
    """One picture: `features` `[image_tokens, hidden_size]`, its file's SHA-256, and what its part is known by."""

    features: Floats
    sha256: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Asking:
    """One request: its client, its pictures, whose turn it is among them, and who looks at them."""

    client: Client
    parts: list[Part]
    look: Look | None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    files: dict[int, asyncio.Task[ImageFile | MakeError]] = field(default_factory=dict)
    """By the number of their first picture, as long as one of them is to come."""


class _VisionFailed(Exception):
    """The vision encoder raised: the engine must not be used again."""


class ImagePipeline:
    """A few pools. Methods are called on the event loop; `close` blocks and may run in a thread."""

    def __init__(
        self,
        engine: Engine,
        preprocessing: Preprocessing,
        metrics: ImageMetrics,
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
        self._lookups = Lookups()
        # without a list there is nothing here that could open a connection
        self._fetcher = None if hosts is None else ImageFetcher(hosts, limits, self._lookups.addresses)
        self._decoding = FairPool(DECODE_WORKERS, "picture")
        self._encoding = FairPool(1, "vision")
        self._parts = PartDecoder(self._decoding, self._intake.squares, metrics)
        self.cache = FeatureCache(cache_bytes, most_of_one)
        self._names = PictureNames()
        self._closed = False
        self._encode_began: float | None = None

    def busy_seconds(self) -> float:
        """How long the encoding under way has taken so far."""
        began = self._encode_began
        return 0.0 if began is None else time.monotonic() - began

    async def encode(self, pictures: Sequence[Picture], client: Client, look: Look | None = None) -> EncodedImages:
        """The images in order. Names are the client's own: no other client can reach a picture by them.

        `look` sees each picture before it is decoded. Raises `ApiError`: of several mistakes, the first picture's.
        """
        if not pictures:
            return EncodedImages(np.zeros((0, self._engine.info.hidden_size), np.float32), ())
        # one encoding of a request at a time: its other pictures must not stand in front of another request's
        asking = _Asking(client, parts_of(pictures), look)
        begun: dict[int, asyncio.Task[Encoded]] = {}
        found: list[Encoded] = []
        try:
            for number, (picture, first, last) in enumerate(asking.parts):
                self._begin(number, begun, asking)
                # in order: a name may be that of a picture just before
                found.append(await begun[number] if number in begun else self._named(number, picture, asking))
                if picture.name is not None:
                    self._names.put(client.name, picture.name, found[-1].sha256)
                if number == last:
                    asking.files.pop(first, None)
        finally:
            await _give_up([*begun.values(), *asking.files.values()])
        return EncodedImages(np.concatenate([one.features for one in found]), tuple(one.digest for one in found))

    def refuse(self) -> None:
        """Begin no more work: what is under way may end."""
        self._closed = True
        self._decoding.refuse()
        self._encoding.refuse()

    def close(self) -> None:
        """Wait for the work under way and end the worker processes."""
        self._lookups.close()
        self._decoding.shutdown()
        self._encoding.shutdown()
        self._intake.close()

    def _begin(self, number: int, begun: dict[int, "asyncio.Task[Encoded]"], asking: _Asking) -> None:
        """A picture and the one behind it, each with others of its file; but no name alone, which takes no time."""
        parts = asking.parts
        for near in range(number, min(len(parts), number + 1 + AHEAD)):
            if near in begun or parts[near].picture.source is None:
                continue
            for other in range(near, min(len(parts), near + TOGETHER)):
                if parts[other].first == parts[near].first and other not in begun:
                    begun[other] = asyncio.create_task(self._sent(other, asking))

    def _read(self, part: Part, asking: _Asking) -> "asyncio.Task[ImageFile | MakeError]":
        """A part's file, once for all of its parts."""
        if part.first not in asking.files:
            assert part.picture.source is not None
            asking.files[part.first] = asyncio.create_task(self._file(part.picture.source, asking.client.share))
        return asking.files[part.first]

    async def _sent(self, number: int, asking: _Asking) -> Encoded:
        """A picture that is part of the request; from the cache if it was sent before."""
        picture, first, _ = asking.parts[number]
        share = asking.client.share
        try:
            file = await self._read(asking.parts[number], asking)
            if callable(file):
                raise file()
            if asking.look is not None:
                seen = Seen(file.sha256, len(file.data), format_of(file.data), _written(picture))
                asking.look(number, seen, file.data if number == first else None)
            self._metrics.queries.inc()
            digest = part_digest(file.sha256, picture.region)
            make = partial(self._decode_and_encode, file, picture.region, asking)
            features, known = await self.cache.get(digest, make, share)
        except ImageError as error:
            # a part may be the client's own choice, and there is one
            outside = error.code == "image_region_outside"
            kind = CameraFailed if picture.by_site and not outside else InvalidRequest
            place = (picture.region_place if outside else "") or picture.place
            raise kind(str(error), code=error.code, param=place) from None
        if known:
            self._metrics.hits.inc()
        return Encoded(features, file.sha256, digest)

    def _named(self, number: int, picture: Picture, asking: _Asking) -> Encoded:
        """A picture that this client sent before under this name; of its parts, one that was sent so."""
        assert picture.name is not None, "the schema asks for one of the two"
        self._metrics.queries.inc()
        sha256 = self._names.get(asking.client.name, picture.name)
        digest = "" if sha256 is None else part_digest(sha256, picture.region)
        features = self.cache.find(digest)
        if sha256 is None or features is None:
            what = "picture" if picture.region is None else "such part of a picture"
            raise NotFound(
                f"No {what} is stored under this uuid (any more); send it again with its image_url.",
                code="image_not_cached",
                param=picture.place,
            )
        self._metrics.hits.inc()
        if asking.look is not None:
            asking.look(number, Seen(sha256, region=_written(picture)), None)
        return Encoded(features, sha256, digest)

    async def _file(self, source: bytes | str, share: str) -> ImageFile | MakeError:
        """A refusal, where several pictures wait for it."""
        try:
            return await self._file_of(source, share)
        except ImageError as error:
            let_go(error)
            return error.again
        except Unavailable:
            return Unavailable.draining

    async def _file_of(self, source: bytes | str, share: str) -> ImageFile:
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
            outcome = FETCH_OUTCOMES[error.code]
            raise
        finally:
            self._metrics.fetched(outcome, time.monotonic() - start)

    async def _decode_and_encode(self, file: ImageFile, region: Region | None, asking: _Asking) -> Floats | MakeError:
        square = await self._parts.get(file, region, asking.client.share)
        if callable(square):
            return square
        try:
            async with asking.turn:
                return await self._encode(square, asking.client.share)
        except Unavailable:
            return Unavailable.draining
        except _VisionFailed:
            return Unavailable.dead

    async def _encode(self, square: Square, share: str) -> Floats:
        start = time.monotonic()
        encoded = await self._encoding.run(share, lambda: self._encode_now(square))
        self._metrics.encode.observe(time.monotonic() - start)
        return encoded

    def _encode_now(self, square: Square) -> Floats:
        """In the encoder's thread."""
        pixels = self._intake.normalised(square)
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


def _written(picture: Picture) -> str | None:
    """The part that is meant, for the audit."""
    return None if picture.region is None else str(picture.region)


async def _give_up(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    """Harmless for those that have ended."""
    for task in tasks:
        task.cancel()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(end, InvalidRequest):  # of a later picture than the one whose mistake is told
            let_go(end)
