"""TIFF of every kind: what is read means what the standard says, and what would have to be guessed is refused."""

from collections.abc import Iterator

import numpy as np
import pytest
from edgevlm_server.images.decode.rgb import decode_rgb
from edgevlm_server.images.formats.header import ImageHeader, read_header
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.formats.tiff import KINDS
from PIL import Image

from tests.server.images.formats.tiff_files import (
    BLACK_IS_ZERO,
    DEFLATE,
    INKS,
    LAB,
    PALETTE,
    PREMULTIPLIED,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    Kind,
    kinds,
    meaning,
    samples_of,
    tiff_of,
)
from tests.server.images.image_files import encode

LIMITS = ImageLimits()
EXTRAS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (2,), (999,), (0, 0), (1, 0), (2, 0), (2, 0, 0))
ALL = [
    (photometric, bits, extra)
    for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR, LAB)
    for bits in (1, 2, 4, 8, 12, 16, 32)
    for extra in EXTRAS
    if photometric != PALETTE or bits <= 8
]
READ = [one for one in ALL if one in KINDS and one[0] != YCBCR]


def is_refused(data: bytes) -> bool:
    try:
        read_header(data, LIMITS)
    except ImageError as error:
        assert error.code == "image_unsupported", error.code
        return True
    return False


def arrangements(photometric: int, bits: int, extra: tuple[int, ...]) -> Iterator[Kind]:
    return kinds(photometric=photometric, bits=bits, extra=extra)


@pytest.mark.parametrize(("photometric", "bits", "extra"), READ)
def test_what_is_read_means_what_the_standard_says(photometric: int, bits: int, extra: tuple[int, ...]) -> None:
    """In every arrangement that is not refused; Pillow rounds more than once where there is alpha or are 16 bits."""
    read = 0
    for kind in arrangements(photometric, bits, extra):
        samples = samples_of(kind)
        data = tiff_of(kind, samples)
        if is_refused(data):
            continue
        assert read_header(data, LIMITS) == ImageHeader("TIFF", 21, 13)
        decoded = np.asarray(decode_rgb(data, "TIFF"), np.float64)
        tolerance = 3 if extra[:1] == (PREMULTIPLIED,) else 2 if extra or bits == 16 else 1.01
        assert np.abs(decoded - meaning(kind, samples)).max() <= tolerance, kind
        read += 1
    assert read >= 4


@pytest.mark.parametrize(("photometric", "bits", "extra"), [one for one in ALL if one not in READ])
def test_what_was_not_compared_is_refused(photometric: int, bits: int, extra: tuple[int, ...]) -> None:
    for kind in arrangements(photometric, bits, extra):
        assert is_refused(tiff_of(kind, samples_of(kind))), kind


def test_both_greys_of_16_bits_are_what_they_say() -> None:
    """White-is-zero was once read as its negative."""
    for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        kind = Kind(photometric=photometric, bits=16)
        picture = decode_rgb(tiff_of(kind, np.full((2, 2, 1), 65535)), "TIFF")
        assert picture.getpixel((0, 0)) == ((0, 0, 0) if photometric == WHITE_IS_ZERO else (255, 255, 255))


@pytest.mark.parametrize("sample_format", [2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_numbers_that_are_not_unsigned_are_refused(bits: int, sample_format: int) -> None:
    for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        kind = Kind(photometric=photometric, bits=bits, sample_format=sample_format)
        assert is_refused(tiff_of(kind, samples_of(kind)))


@pytest.mark.parametrize("photometric", [4, 9, 10, 32803, 32844, 32845, 34892])
def test_rare_interpretations_are_refused(photometric: int) -> None:
    for bits in (8, 16):
        kind = Kind(photometric=photometric, bits=bits)
        assert is_refused(tiff_of(kind, samples_of(kind)))


GREY = Kind(photometric=BLACK_IS_ZERO, bits=8)
COLOUR = Kind(photometric=RGB, bits=8)


@pytest.mark.parametrize(
    "compression", [2, 3, 4, 6, 9, 32766, 32767, 32771, 32809, 34676, 34712, 34925, 50000, 50001]
)
def test_compressions_that_were_not_tried_are_refused(compression: int) -> None:
    """Fax is for one bit; others depend on how libraries were built, or on their mood."""
    assert is_refused(tiff_of(COLOUR, samples_of(COLOUR), {259: (3, [compression])}))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (GREY, {262: (3, [])}),
        (GREY, {277: (3, [3])}),
        (GREY, {277: (3, [1, 1])}),
        (COLOUR, {277: (3, [4])}),
        (COLOUR, {258: (3, [8, 8, 16])}),
        (COLOUR, {339: (3, [1, 1, 2])}),
        (COLOUR, {284: (3, [3])}),
        (GREY, {317: (3, [3])}),
        (GREY, {317: (3, [2])}),
        (Kind(photometric=INKS, bits=8), {332: (3, [2])}),
        (Kind(photometric=PALETTE, bits=4), {320: (3, [200] * 48)}),
        (Kind(photometric=PALETTE, bits=4), {320: (3, [])}),
        (Kind(photometric=PALETTE, bits=4), {320: (3, [60000] * 24)}),
    ],
    ids=str,
)
def test_tags_that_contradict_each_other_are_refused(kind: Kind, more: dict[int, tuple[int, list[int]]]) -> None:
    assert is_refused(tiff_of(kind, samples_of(kind), more))


def test_tags_that_may_be_left_out() -> None:
    """Their defaults are those of the standard; one number of bits may stand for all."""
    left_out: dict[int, tuple[int, list[int]]] = {tag: (3, []) for tag in (259, 266, 284, 317, 339)}
    for kind, more in ((GREY, {277: (3, [])}), (COLOUR, {258: (3, [8]), 339: (3, [1])})):
        samples = samples_of(kind)
        data = tiff_of(kind, samples, {**left_out, **more})
        read_header(data, LIMITS)
        assert np.abs(np.asarray(decode_rgb(data, "TIFF")) - meaning(kind, samples)).max() <= 1


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax(compression: str) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 2, (20, 33)).astype(bool))
    data = encode(image, "TIFF", compression=compression)
    read_header(data, LIMITS)
    assert decode_rgb(data, "TIFF").tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr"])
def test_jpeg_inside(mode: str) -> None:
    """Lossy: near the colours is right."""
    colours = Image.new("RGB", (32, 32), (200, 30, 60))
    data = encode(colours.convert(mode), "TIFF", compression="jpeg", quality=95)
    read_header(data, LIMITS)
    expected = np.asarray(colours.convert(mode).convert("RGB"), np.int16)
    assert np.abs(np.asarray(decode_rgb(data, "TIFF"), np.int16) - expected).max() <= 4


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "1", "P"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"])
def test_other_compressions(mode: str, compression: str) -> None:
    colours = Image.fromarray(np.random.default_rng(2).integers(0, 256, (9, 17, 3), np.uint8)).convert(mode)
    data = encode(colours, "TIFF", compression=compression)
    read_header(data, LIMITS)
    plain = decode_rgb(encode(colours, "TIFF"), "TIFF")
    assert decode_rgb(data, "TIFF").tobytes() == plain.tobytes()


def test_jpeg_of_inks_is_refused() -> None:
    """Some programs invert them and some do not."""
    assert is_refused(encode(Image.new("CMYK", (16, 16)), "TIFF", compression="jpeg"))


def test_a_palette_is_never_predicted_wrongly() -> None:
    kind = Kind(photometric=PALETTE, bits=8, compression=DEFLATE, predictor=2)
    samples = samples_of(kind)
    assert np.abs(np.asarray(decode_rgb(tiff_of(kind, samples), "TIFF")) - meaning(kind, samples)).max() <= 1
