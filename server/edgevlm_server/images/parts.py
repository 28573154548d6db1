"""Parts of pictures, in few decodings: one of a file gives all parts of it that are waited for when its turn comes.

Event loop only. Knows neither features nor who asks beyond whose turn it is.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import NamedTuple

from edgevlm_server.errors import MakeError, Unavailable
from edgevlm_server.images.decode.decoder import ImageWorkerBusy
from edgevlm_server.images.decode.square import Square
from edgevlm_server.images.formats.limits import ImageError
from edgevlm_server.images.intake import ImageFile
from edgevlm_server.images.pool import FairPool
from edgevlm_server.images.region import Region
from edgevlm_server.observe.image_metrics import ImageMetrics

log = logging.getLogger(__name__)

TOGETHER = 8
"""Parts of one decoding at most, so that no worker is held for long and few of them wait to be encoded."""

Decode = Callable[[bytes, Sequence[Region | None]], list[Square | ImageError]]
"""Blocks. Raises ImageWorkerError."""


class _Wanted(NamedTuple):
    region: Region | None
    square: asyncio.Future[Square | MakeError]


@dataclass(slots=True, eq=False)
class _Decoding:
    """One of a file, who waits for it, and what it runs in."""

    wanted: list[_Wanted] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def begin(self) -> list[Region | None]:
        """For those who still wait, and from now on for no others."""
        self.wanted = [one for one in self.wanted if not one.square.done()]
        return [one.region for one in self.wanted]

    def end(self, squares: Iterable[Square | MakeError]) -> None:
        """In the order of the regions."""
        for one, square in zip(self.wanted, squares, strict=False):
            if not one.square.done():
                one.square.set_result(square)

    @property
    def in_vain(self) -> bool:
        """Nobody waits any more."""
        return all(one.square.done() for one in self.wanted)


class PartDecoder:
    """Decodes in a pool that is shared with other work on pictures."""

    def __init__(self, pool: FairPool, decode: Decode, metrics: ImageMetrics) -> None:
        self._pool = pool
        self._decode = decode
        self._metrics = metrics
        self._open: dict[str, _Decoding] = {}
        """Those that have not begun, by the file's SHA-256."""

    async def get(self, file: ImageFile, region: Region | None, share: str) -> Square | MakeError:
        """A part of a picture, or why there is none. The first client who asks takes its turn for all who wait."""
        decoding = self._open.get(file.sha256) or self._prepare(file, share)
        wanted = _Wanted(region, asyncio.get_running_loop().create_future())
        decoding.wanted.append(wanted)
        if len(decoding.wanted) == TOGETHER:
            self._close(file.sha256, decoding)
        try:
            return await wanted.square
        except asyncio.CancelledError:
            if decoding.in_vain and decoding.task is not None:
                self._close(file.sha256, decoding)
                decoding.task.cancel()
            raise

    def _prepare(self, file: ImageFile, share: str) -> _Decoding:
        decoding = self._open[file.sha256] = _Decoding()
        # a task begins a moment later, so that what else is asked for in this one comes along
        decoding.task = asyncio.create_task(self._run(file, decoding, share))
        return decoding

    def _close(self, sha256: str, decoding: _Decoding) -> None:
        """Whoever comes now is not part of it."""
        if self._open.get(sha256) is decoding:
            del self._open[sha256]

    async def _run(self, file: ImageFile, decoding: _Decoding, share: str) -> None:
        def choose() -> Callable[[], list[Square | ImageError]]:
            self._close(file.sha256, decoding)
            regions = decoding.begin()
            return lambda: self._decode(file.data, regions)

        start = time.monotonic()
        try:
            made = await self._pool.run_what(share, choose)
        except Exception as error:
            self._close(file.sha256, decoding)
            decoding.end(repeat(_refusal(error)))
            return
        self._metrics.decode.observe(time.monotonic() - start)
        decoding.end(one.again if isinstance(one, ImageError) else one for one in made)


def _refusal(error: Exception) -> MakeError:
    """What each who waits is told."""
    if isinstance(error, Unavailable):
        return Unavailable.draining
    if isinstance(error, ImageWorkerBusy):
        log.warning("A picture is not decoded for now: %s.", error)
        return Unavailable.too_busy_to_decode
    log.error("No picture can be decoded.", exc_info=error)
    return Unavailable.undecoded
