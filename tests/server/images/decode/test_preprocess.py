"""Pixels against upstream's, and the square against padding and resizing in one piece."""

from pathlib import Path

import numpy as np
import pytest
from edgevlm_server.images.decode.preprocess import normalise, preprocess
from edgevlm_server.images.decode.square import fit_square
from PIL import Image

from tests.server.images.image_files import SPEC, noise, plain

GOLDEN = Path(__file__).parents[3] / "data" / "golden"
PAD = SPEC.pad_colour


@pytest.mark.parametrize("case", ["v2", "v2-headdim80-bf16"])
def test_pixels_are_upstreams(case: str) -> None:
    with Image.open(GOLDEN / case / "image.png") as image, np.load(GOLDEN / case / "ref.npz") as reference:
        got = preprocess(image.convert("RGB"), SPEC)
        expected = reference["pixel_values"][0]
    assert got.dtype == np.float32 and got.shape == (3, 336, 336) and got.flags.c_contiguous
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def padded_then_resized(image: Image.Image, size: int) -> Image.Image:
    side = max(image.size)
    square = Image.new("RGB", (side, side), PAD)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square.resize((size, size), Image.Resampling.BICUBIC)


@pytest.mark.slow
@pytest.mark.parametrize(
    "width, height",
    [
        *[(1, 1), (1, 2), (2, 1), (336, 336), (337, 336), (613, 402), (311, 700), (3, 2000), (2000, 3)],
        *[(3000, 2201), (2201, 3000), (3001, 3001), (5000, 40)],  # more than one band
    ],
)
@pytest.mark.parametrize("size", [336, 31])
def test_square_is_bit_for_bit_padding_then_resizing(width: int, height: int, size: int) -> None:
    image = noise(width, height)
    assert fit_square(image, size, PAD).tobytes() == padded_then_resized(image, size).tobytes()


@pytest.mark.slow
def test_very_tall_picture_is_at_most_a_grey_level_away() -> None:
    image = noise(40, 5000)
    got = np.asarray(fit_square(image, 336, PAD), np.int16)
    assert np.abs(got - np.asarray(padded_then_resized(image, 336), np.int16)).max() <= 1


def test_picture_of_the_right_size_is_unchanged() -> None:
    image = noise(336, 336)
    assert fit_square(image, 336, PAD).tobytes() == image.tobytes()
    assert np.array_equal(preprocess(image, SPEC), normalise(image, SPEC))


def test_padding_is_the_truncated_mean_and_not_zero() -> None:
    got = preprocess(plain((0, 0, 0), (100, 10)), SPEC)
    assert got[:, 0, 0] == pytest.approx([-0.01125, -0.01120, -0.00133], abs=1e-5)


def test_only_rgb() -> None:
    with pytest.raises(ValueError, match="RGB picture is needed"):
        preprocess(Image.new("L", (4, 4)), SPEC)
