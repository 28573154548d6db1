"""Parts of pictures against Pillow: the same pixels as of a file that was cut beforehand; bounds on their size."""

import io
import math
import sys
from typing import Any

import numpy as np
import pytest
from edgevlm_server.images.decode import part as part_module
from edgevlm_server.images.decode.part import MOST_COMPUTED, from_rectangle, part_of
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.region import OutsideError, Region
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.server.images.image_files import encode, noise
from tests.server.images.image_workers import GOOD, PAD, TEAL, assert_right, decoder, workers

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
PICTURE = noise(96, 64)
QUARTERS = (((0, 30), (0, 30)), ((70, 100), (0, 30)), ((70, 100), (70, 100)), ((0, 30), (70, 100)))
TURNED = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def region(**fields: Any) -> Region:
    made = Region.parse(**fields)
    assert made is not None
    return made


def part(image: Image.Image, **fields: Any) -> Image.Image:
    return part_of(image, region(**fields), PAD)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.tobytes() == other.tobytes()


def test_a_crop_is_the_pictures_own_pixels() -> None:
    assert same(part(PICTURE, crop="10,20,30,40"), PICTURE.crop((10, 20, 40, 60)))
    assert same(part(PICTURE, crop="95,63,1,1"), PICTURE.crop((95, 63, 96, 64)))
    with pytest.raises(OutsideError):
        part(PICTURE, crop="90,0,7,1")


@pytest.mark.parametrize("degrees", TURNED)
def test_a_turn_by_quarters_is_the_pictures_own_pixels(degrees: int) -> None:
    assert same(part(PICTURE, rotate=degrees), PICTURE.transpose(TURNED[degrees]))
    assert same(part(PICTURE, rotate=degrees - 360), PICTURE.transpose(TURNED[degrees]))


def test_a_part_is_cut_first_and_turned_then() -> None:
    turned = PICTURE.crop((10, 20, 40, 60)).rotate(-7.5, Image.Resampling.BICUBIC, expand=True, fillcolor=PAD)
    assert same(part(PICTURE, crop="10,20,30,40", rotate=7.5), turned)
    assert turned.getpixel((0, 0)) == PAD


def test_corners_of_an_upright_rectangle_are_a_crop() -> None:
    assert same(part(PICTURE, deskew="10,20 40,20 40,60 10,60"), PICTURE.crop((10, 20, 40, 60)))
    assert same(part(PICTURE, deskew="0,0 96,0 96,64 0,64"), PICTURE)


def test_corners_named_from_another_one_turn_the_part() -> None:
    turned = PICTURE.crop((10, 20, 40, 60)).transpose(Image.Transpose.ROTATE_270)
    assert same(part(PICTURE, deskew="10,60 10,20 40,20 40,60"), turned)


def test_a_tilted_display_becomes_upright() -> None:
    """Drawn upright, seen from aside, and straightened: it is what was drawn, as far as two filters leave it."""
    drawn = Image.new("RGB", (160, 80), "black")
    ImageDraw.Draw(drawn).text((40, 20), "83", fill="white", font_size=48)
    corners = [(30.0, 20.0), (180.0, 45.0), (170.0, 130.0), (40.0, 110.0)]
    # the inverse of a map from a rectangle is one as well: where the rectangle's corners are seen to be
    a, b, c, d, e, f, g, h = from_rectangle((160, 80), corners)
    back = np.linalg.inv(np.array([[a, b, c], [d, e, f], [g, h, 1]]))
    seen = drawn.transform(
        (220, 150), Image.Transform.PERSPECTIVE, tuple((back / back[2, 2]).flat)[:8], Image.Resampling.BICUBIC
    )
    straight = part(seen, deskew=" ".join(f"{x},{y}" for x, y in corners)).resize(drawn.size)
    difference = np.abs(np.asarray(straight, np.int16) - np.asarray(drawn, np.int16))
    assert difference.mean() < 8 < np.asarray(drawn).mean()


@settings(deadline=None)
@given(st.tuples(*(st.tuples(st.floats(*across), st.floats(*along)) for across, along in QUARTERS)))
def test_the_corners_of_what_comes_out_come_from_the_corners(corners: tuple[tuple[float, float], ...]) -> None:
    a, b, c, d, e, f, g, h = from_rectangle((30, 20), corners)
    for (x, y), (expected_x, expected_y) in zip(((0, 0), (30, 0), (30, 20), (0, 20)), corners, strict=True):
        below = g * x + h * y + 1
        assert below > 0
        assert math.isclose((a * x + b * y + c) / below, expected_x, abs_tol=1e-3)
        assert math.isclose((d * x + e * y + f) / below, expected_y, abs_tol=1e-3)


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 359.9))
def test_what_is_computed_has_its_bounds(width: int, height: int, degrees: float) -> None:
    before = part_module.MOST_COMPUTED
    part_module.MOST_COMPUTED = 10_000
    try:
        turned = part_of(Image.new("RGB", (width, height)), Region(rotate=degrees), PAD)
    finally:
        part_module.MOST_COMPUTED = before
    # a strip cannot become narrower than a pixel
    assert degrees % 90 == 0 or turned.width * turned.height <= 4 * 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"rotate": 45},
        {"rotate": 3},
        {"deskew": "1,0 7300,9 7290,5400 0,5390"},
        {"deskew": "0,9 9,0 7300,5390 7290,5400"},
    ],
)
def test_large_parts_are_made_smaller_first(fields: dict[str, Any]) -> None:
    made = part(Image.new("RGB", (7300, 5400), TEAL), **fields)
    assert MOST_COMPUTED / 9 < made.width * made.height <= MOST_COMPUTED or made.width < 20 or made.height < 20
    assert made.getpixel((made.width // 2, made.height // 2)) == TEAL


@LINUX
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("box", [(10, 20, 40, 60), (0, 0, 96, 64), (5, 5, 6, 6), (0, 63, 96, 64)])
def test_a_part_of_a_file_is_the_file_cut_beforehand(image_format: str, box: tuple[int, int, int, int]) -> None:
    data = encode(PICTURE, image_format)
    left, top, right, bottom = box
    with decoder() as made:
        whole = Image.open(io.BytesIO(data)).convert("RGB")
        beforehand = made.decode(encode(whole.crop(box), "PNG"))
        assert same(made.decode(data, region(crop=f"{left},{top},{right - left},{bottom - top}")), beforehand)


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("degrees", [30, 45, -120])
def test_a_file_turned_at_any_angle_is_the_picture_turned_beforehand(degrees: float) -> None:
    """It then has more pixels than the file, to whose header the decoding is held."""
    picture = noise(170, 130).resize((1700, 1300))
    turned = picture.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=PAD)
    assert turned.width * turned.height > picture.width * picture.height
    data, beforehand = (encode(image, "PNG", compress_level=1) for image in (picture, turned))
    with decoder() as made:
        assert same(made.decode(data, region(rotate=degrees)), made.decode(beforehand))


@LINUX
def test_a_part_is_one_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned by a quarter
    data = encode(PICTURE, "PNG", exif=exif)
    upright = PICTURE.transpose(Image.Transpose.ROTATE_270)
    with decoder() as made:
        cut = made.decode(data, region(crop="0,80,64,16"))
        assert same(cut, made.decode(encode(upright.crop((0, 80, 64, 96)), "PNG")))
        [refused] = made.parts(data, [region(crop="64,0,32,64")])
    assert isinstance(refused, ImageError) and refused.code == "image_region_outside"
    assert "64 x 96 pixels" in str(refused)


@LINUX
def test_a_small_part_of_a_large_jpeg_has_all_its_pixels_and_the_whole_is_as_ever() -> None:
    picture = noise(320, 240)
    data = encode(picture, "JPEG", quality=95)
    limits = ImageLimits(whole_pixels=320 * 240 // 4)
    with decoder() as made:
        whole_scale = made.decode(data, region(crop="100,100,32,32"))
    with decoder(limits=limits) as made:
        alone = made.decode(data)
        turned = made.decode(data, region(rotate=90))
        together = made.parts(data, [region(crop="100,100,32,32"), None, region(rotate=90)])
    for one, other in zip(together, (whole_scale, alone, turned), strict=True):
        assert isinstance(one, Image.Image) and same(one, other)


@LINUX
def test_parts_of_one_file_have_answers_of_their_own() -> None:
    cut, outside = region(crop="0,0,8,8"), region(crop="60,60,8,8")
    with decoder() as made:
        processes = None
        for _ in range(2):
            first, refused, whole = made.parts(GOOD, [cut, outside, None])
            assert isinstance(first, Image.Image) and isinstance(whole, Image.Image)
            assert first.getcolors() == whole.getcolors() == [(32 * 32, TEAL)]
            assert isinstance(refused, ImageError) and refused.code == "image_region_outside"
            assert processes in (None, workers())
            processes = workers()


@LINUX
def test_parts_of_a_damaged_file_are_all_refused() -> None:
    with decoder() as made:
        refused = made.parts(encode(noise(64, 64), "PNG")[:-2000], [None, region(rotate=5)])
        assert [one.code for one in refused if isinstance(one, ImageError)] == ["image_invalid"] * 2
        assert len({id(one) for one in refused}) == 2
        assert_right(made)
