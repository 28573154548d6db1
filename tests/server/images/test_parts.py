"""One decoding of a file for all who wait for parts of it, whoever they are and whoever leaves."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from edgevlm_server.errors import Unavailable
from edgevlm_server.images.decode.decoder import ImageWorkerBusy, ImageWorkerError
from edgevlm_server.images.decode.square import Square
from edgevlm_server.images.formats.limits import ImageError, invalid
from edgevlm_server.images.intake import image_file
from edgevlm_server.images.parts import TOGETHER, PartDecoder
from edgevlm_server.images.pool import FairPool
from edgevlm_server.images.region import Region
from edgevlm_server.images.same_file import parts_of
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.request import Picture
from edgevlm_server.settings import Settings
from PIL import Image

FILE, OTHER = image_file(b"one"), image_file(b"other")


def region(degrees: int) -> Region:
    return Region(rotate=float(degrees))


class Decoder:
    """Stands for the processes: a square as grey as its part is turned, once the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.calls: list[tuple[bytes, list[float]]] = []
        self.raises: Exception | None = None

    def __call__(self, data: bytes, regions: Sequence[Region | None]) -> list[Square | ImageError]:
        degrees = [0.0 if one is None else one.rotate for one in regions]
        self.calls.append((data, degrees))
        assert self.gate.wait(20)
        if self.raises is not None:
            raise self.raises
        return [invalid() if one == 13 else Image.new("L", (1, 1), int(one)) for one in degrees]


def play(script: Callable[[Decoder, FairPool, PartDecoder], Awaitable[None]]) -> None:
    async def run() -> None:
        decoder, pool = Decoder(), FairPool(1, "test")
        parts = PartDecoder(pool, decoder, Metrics.of(Settings()).images)
        await script(decoder, pool, parts)
        pool.shutdown()

    asyncio.run(run())


def wait_for(parts: PartDecoder, *degrees: int, share: str = "a") -> "list[asyncio.Task[object]]":
    return [asyncio.create_task(parts.get(FILE, region(one), share)) for one in degrees]


async def shades(tasks: "Sequence[asyncio.Task[object]]") -> list[object]:
    return [one.getpixel((0, 0)) if isinstance(one, Image.Image) else one for one in await asyncio.gather(*tasks)]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_waits_for_a_file_gets_a_part_of_the_same_decoding() -> None:
    async def script(decoder: Decoder, pool: FairPool, parts: PartDecoder) -> None:
        first = asyncio.create_task(parts.get(OTHER, None, "a"))
        await settle()
        tasks = [*wait_for(parts, 1, 2), *wait_for(parts, 3, share="b")]
        await settle()
        late = wait_for(parts, 2)
        await settle()
        decoder.gate.set()
        assert await shades([first, *tasks, *late]) == [0, 1, 2, 3, 2]
        assert decoder.calls == [(b"other", [0.0]), (b"one", [1.0, 2.0, 3.0, 2.0])]

    play(script)


def test_who_comes_after_the_beginning_waits_for_the_next_one() -> None:
    async def script(decoder: Decoder, pool: FairPool, parts: PartDecoder) -> None:
        early = wait_for(parts, 1)
        await settle()
        late = wait_for(parts, 2)
        await settle()
        decoder.gate.set()
        assert await shades([*early, *late]) == [1, 2]
        assert [degrees for _, degrees in decoder.calls] == [[1.0], [2.0]]

    play(script)


def test_only_so_many_come_along() -> None:
    async def script(decoder: Decoder, pool: FairPool, parts: PartDecoder) -> None:
        decoder.gate.set()
        assert await shades(wait_for(parts, *range(20, 20 + TOGETHER + 3))) == [*range(20, 20 + TOGETHER + 3)]
        assert [len(degrees) for _, degrees in decoder.calls] == [TOGETHER, 3]

    play(script)


def test_who_leaves_is_not_decoded_for_and_the_last_one_ends_it() -> None:
    async def script(decoder: Decoder, pool: FairPool, parts: PartDecoder) -> None:
        first = asyncio.create_task(parts.get(OTHER, None, "a"))
        await settle()
        leaving, staying = wait_for(parts, 1, 2)
        await settle()
        leaving.cancel()
        await settle()
        decoder.gate.set()
        assert await shades([first, staying]) == [0, 2]
        decoder.gate.clear()
        first = asyncio.create_task(parts.get(OTHER, None, "a"))
        await settle()
        alone = wait_for(parts, 3)
        await settle()
        alone[0].cancel()
        newcomer = wait_for(parts, 4)  # at once: what is being given up must not be joined
        await settle()
        decoder.gate.set()
        assert await shades([first, *newcomer]) == [0, 4]
        assert [degrees for _, degrees in decoder.calls] == [[0.0], [2.0], [0.0], [4.0]]

    play(script)


def test_a_part_that_is_refused_is_refused_alone() -> None:
    async def script(decoder: Decoder, pool: FairPool, parts: PartDecoder) -> None:
        decoder.gate.set()
        good, refused, other = await shades(wait_for(parts, 1, 13, 2))
        assert (good, other) == (1, 2) and callable(refused)
        error = refused()
        assert isinstance(error, ImageError) and error.code == "image_invalid"

    play(script)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ImageWorkerBusy("busy"), "image_decoder_busy"),
        (ImageWorkerError("none"), "image_decoder_unavailable"),
        (Unavailable.draining(), "shutting_down"),
    ],
)
def test_what_ends_a_decoding_is_told_to_all_who_wait(raised: Exception, code: str) -> None:
    async def script(decoder: Decoder, pool: FairPool, parts: PartDecoder) -> None:
        decoder.raises = raised
        decoder.gate.set()
        for told in await shades(wait_for(parts, 1, 2)):
            assert callable(told) and told().code == code
        decoder.raises = None
        assert await shades(wait_for(parts, 1)) == [1]

    play(script)


def test_a_closed_pool_refuses_all_who_come() -> None:
    async def script(decoder: Decoder, pool: FairPool, parts: PartDecoder) -> None:
        pool.refuse()
        for _ in range(2):
            [told] = await shades(wait_for(parts, 1))
            assert callable(told) and told().code == "shutting_down"

    play(script)


def test_pictures_of_one_file_are_found_by_what_is_sent_and_by_name() -> None:
    pictures = [
        Picture("A", "a"),
        Picture("B", "b"),
        Picture("A", region=region(1)),
        Picture(None, "a", region=region(2)),
        Picture(None, "unknown"),
        Picture(None, "unknown"),
        Picture(b"A"),
        Picture("C", "a"),
        Picture(None, "a"),
    ]
    parts = parts_of(pictures)
    assert [part.first for part in parts] == [0, 1, 0, 0, 4, 5, 6, 7, 7]
    assert [part.last for part in parts] == [3, 1, 3, 3, 4, 5, 6, 8, 8]
    assert [part.picture.source for part in parts] == ["A", "B", "A", "A", None, None, b"A", "C", "C"]
    assert [part.picture.region for part in parts] == [one.region for one in pictures]
