"""Pictures through worker processes: the right answer, the right refusal, and several at once."""

import contextlib
import io
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from edgevlm_server.images.decode.decoder import ImageDecoder
from edgevlm_server.images.decode.square import fit_square
from edgevlm_server.images.formats.limits import FORMATS, ImageError, ImageFormat, ImageLimits
from PIL import Image

from tests.server.images.image_files import encode, noise, plain, png, tiff
from tests.server.images.image_workers import PAD, SIZE, TEAL, assert_right, decoder, refusal, workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format(image_format: ImageFormat) -> None:
    with decoder() as made:
        image = made.decode(encode(plain(TEAL, (64, 64)), image_format))
        assert np.abs(np.asarray(image, np.int16) - TEAL).max() <= 4


def test_padding_and_one_pixel() -> None:
    with decoder() as made:
        image = made.decode(encode(plain(TEAL, (64, 16)), "PNG"))
        assert image.getpixel((0, 0)) == PAD and image.getpixel((16, 16)) == TEAL
        assert made.decode(encode(plain(TEAL, (1, 1)), "PNG")).getcolors() == [(SIZE * SIZE, TEAL)]


def test_refusals_keep_the_process() -> None:
    half = encode(noise(64, 64), "PNG")[:-2000]
    float_pixels = tiff(1, 1, 32, bytes(4), sample_format=3)
    with decoder() as made:
        assert_right(made)
        processes = workers()
        assert refusal(made, half).code == "image_invalid"
        assert refusal(made, float_pixels).code == "image_unsupported"
        assert refusal(made, b"GIF89a").code == "image_invalid"
        assert refusal(made, b"no picture").code == "image_unsupported"
        assert_right(made)
        assert workers() == processes


@pytest.mark.slow
@pytest.mark.parametrize("image_format", FORMATS)
def test_truncated_files_are_refused(image_format: ImageFormat) -> None:
    data = encode(noise(90, 90), image_format)
    with decoder() as made:
        for part in range(1, 20):
            assert refusal(made, data[: len(data) * part // 20]).code == "image_invalid"


@pytest.mark.slow
def test_large_jpeg_is_decoded_at_a_fraction_and_small_ones_are_not() -> None:
    image = noise(320, 320)
    data = encode(image, "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        exact = fit_square(opened.convert("RGB"), SIZE, PAD)
    with decoder(limits=ImageLimits(whole_pixels=320 * 320)) as made:
        assert made.decode(data).tobytes() == exact.tobytes()
    with decoder(limits=ImageLimits(whole_pixels=320 * 320 - 1)) as made:
        fraction = made.decode(data)
    difference = np.abs(np.asarray(fraction, np.int16) - np.asarray(exact, np.int16))
    assert 0 < difference.mean() < 10


def test_a_gif_frame_larger_than_its_header_says_is_refused() -> None:
    data = bytearray(encode(noise(64, 64), "GIF"))
    data[6:10] = b"\x01\x00\x01\x00"
    with decoder() as made:
        assert refusal(made, bytes(data)).code == "image_invalid"


@pytest.mark.slow
def test_a_strip_does_not_need_a_square_of_memory() -> None:
    with decoder(limits=ImageLimits(memory_bytes=560 << 20)) as made:
        for size in ((1, 16384), (16384, 1), (1000, 16384), (16384, 1000)):
            assert made.decode(encode(plain(TEAL, size), "PNG")).getpixel((0, 0)) == PAD


@pytest.mark.slow
def test_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds, too, where a header has not said how much is needed."""
    monkeypatch.setattr(ImageLimits, "most_pixels", lambda limits, image_format: 4096 * 4096)
    large = encode(Image.new("RGB", (4096, 4096)), "PNG")
    with decoder(limits=ImageLimits(memory_bytes=128 << 20)) as made:
        assert refusal(made, large).code == "image_too_large"
        assert_right(made)


WORST: dict[ImageFormat, tuple[str, dict[str, Any]]] = {
    "JPEG": ("CMYK", {"progressive": True, "quality": 20}),
    "PNG": ("RGBA", {"compress_level": 1}),
    "WEBP": ("RGBA", {"lossless": True, "method": 0}),
    "BMP": ("RGBA", {}),
    "GIF": ("P", {"transparency": 1}),
    "TIFF": ("RGBA", {"compression": "tiff_lzw"}),
    "AVIF": ("RGBA", {"speed": 10}),
    "HEIF": ("RGBA", {}),
}
"""Of each format what takes the most memory."""


@pytest.mark.slow
@pytest.mark.parametrize("image_format", FORMATS)
def test_as_many_pixels_as_the_memory_is_said_to_allow(image_format: ImageFormat) -> None:
    limits = ImageLimits(memory_bytes=320 << 20, max_bytes=64 << 20)
    mode, options = WORST[image_format]
    # HEIC rounds sides up to whole blocks
    side = math.isqrt(limits.most_pixels(image_format)) - 64
    colours = Image.linear_gradient("L").resize((side, side))
    image = Image.merge("RGBA", (colours, colours.rotate(90), colours, colours)).convert(mode)
    with decoder(limits=limits) as made:
        assert made.decode(encode(image, image_format, **options)).size == (SIZE, SIZE)


@pytest.mark.slow
def test_png_that_inflates_to_more_than_its_header_says() -> None:
    with decoder() as made:
        with contextlib.suppress(ImageError):
            made.decode(png(4, 4, 8, 0, bytes(50_000_000)))
        assert_right(made)


# Several at once


def test_threads_get_their_own_pictures() -> None:
    colours = [(n, 255 - n, 7 * n % 256) for n in range(0, 240, 6)]
    with decoder(workers=2) as made, ThreadPoolExecutor(8) as pool:
        images = pool.map(lambda colour: made.decode(encode(plain(colour), "PNG")), colours)
        assert [image.getpixel((0, 0)) for image in images] == colours
        assert 1 <= len(workers()) <= 2


def test_processes_are_started_when_needed() -> None:
    with decoder(workers=4) as made:
        assert workers() == []
        for _ in range(5):
            assert_right(made)
        assert len(workers()) == 1


def test_at_least_one_worker() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        ImageDecoder(ImageLimits(), SIZE, PAD, 0)
