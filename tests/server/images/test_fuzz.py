"""Damaged files through the whole way in: a picture or an ImageError, never anything else."""

from collections.abc import Iterator

import numpy as np
import pytest
from edgevlm_server.images.formats.limits import FORMATS, ImageError, ImageLimits
from edgevlm_server.images.intake import ImageIntake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.server.images.image_files import SPEC, data_url, encode, noise

CODES = ("image_unsupported", "image_too_large", "image_invalid")


@pytest.fixture(scope="module")
def intake() -> Iterator[ImageIntake]:
    with ImageIntake(ImageLimits(), SPEC.model_copy(update={"size": 16}), workers=1) as made:
        yield made


def exif() -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = 6
    return made


FILES: list[bytes] = [
    *(encode(noise(24, 18), image_format) for image_format in FORMATS),
    encode(noise(24, 18), "JPEG", progressive=True, exif=exif()),
    encode(noise(24, 18).convert("RGBA"), "WEBP", lossless=True, exif=exif()),
    encode(noise(24, 18).quantize(16), "PNG", transparency=3),
    encode(noise(24, 18), "TIFF", compression="tiff_lzw"),
    encode(noise(24, 18), "TIFF", compression="jpeg"),
    encode(noise(24, 18).convert("I;16"), "TIFF"),
    encode(noise(24, 18).convert("CMYK"), "JPEG"),
    encode(noise(24, 18).convert("1"), "PNG"),
    encode(noise(24, 18).convert("I;16"), "PNG"),
    *(
        encode(noise(24, 18), kind, save_all=True, append_images=[noise(24, 18, 1)])
        for kind in ("GIF", "PNG", "WEBP")
    ),
    encode(noise(72, 64).convert("RGBA"), "HEIF", exif=exif().tobytes()),
    encode(noise(160, 160), "HEIF", tile_size=64),
    encode(noise(24, 18).convert("RGBA"), "AVIF", exif=exif().tobytes()),
    encode(noise(24, 18), "AVIF", save_all=True, append_images=[noise(24, 18, 1)]),
]


def pixels_or_error(intake: ImageIntake, data: bytes) -> NDArray[np.float32] | None:
    try:
        pixels = intake.pixels(intake.read(data_url(data)).data)
    except ImageError as error:
        assert error.code in CODES
        return None
    assert pixels.shape == (3, 16, 16) and np.isfinite(pixels).all()
    return pixels


MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@MANY
@given(
    data=st.sampled_from(FILES),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    near_start=st.booleans(),
)
def test_flipped_bytes(intake: ImageIntake, data: bytes, flips: list[tuple[float, int]], near_start: bool) -> None:
    damaged = bytearray(data)
    for place, value in flips:
        damaged[int(place * (min(len(data), 200) if near_start else len(data)))] = value
    pixels_or_error(intake, bytes(damaged))


@pytest.mark.slow
@MANY
@given(data=st.sampled_from(FILES), kept=st.integers(2, 30), rest=st.binary(min_size=1, max_size=300))
def test_rubbish_after_a_good_start(intake: ImageIntake, data: bytes, kept: int, rest: bytes) -> None:
    pixels_or_error(intake, data[:kept] + rest)


@pytest.mark.slow
@MANY
@given(
    data=st.sampled_from([file for file in FILES if file[4:8] == b"ftyp"]),
    place=st.floats(0, 1, exclude_max=True),
    block=st.binary(min_size=1, max_size=12),
)
def test_headers_of_boxes_with_blocks_overwritten(
    intake: ImageIntake, data: bytes, place: float, block: bytes
) -> None:
    """Lengths, counts and offsets are what their readers stumble over."""
    at = int(place * data.index(b"mdat"))
    pixels_or_error(intake, data[:at] + block + data[at + len(block) :])


@pytest.mark.parametrize("data", FILES)
def test_cut_files_are_refused_or_whole(intake: ImageIntake, data: bytes) -> None:
    """Only what no pixel depends on may be missing, such as an end marker: grey bars are worse than an error."""
    whole = intake.pixels(data)
    for length in range(1, len(data), max(1, len(data) // 60)):
        pixels = pixels_or_error(intake, data[:length])
        assert pixels is None or np.array_equal(pixels, whole)


def test_still_right_after_all_that(intake: ImageIntake) -> None:
    image = noise(16, 16)
    pixels = intake.pixels(encode(image, "PNG"))
    expected = (np.asarray(image) / 255 - SPEC.mean) / SPEC.std
    np.testing.assert_allclose(pixels, expected.transpose(2, 0, 1), atol=1e-5)
