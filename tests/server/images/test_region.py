"""Texts of crop, rotate and deskew: what they mean, what they are refused for, and one text for equal parts."""

from contextlib import suppress

import pytest
from edgevlm_server.images.cache import part_digest
from edgevlm_server.images.region import Crop, Deskew, OutsideError, Region, RegionError
from hypothesis import assume, given
from hypothesis import strategies as st

SIDES = st.integers(1, 16_384)
ANY_TEXT = st.text(st.sampled_from("0123456789.,-+ pct:eE\u0661"), max_size=30) | st.text(max_size=10)


def percents() -> st.SearchStrategy[tuple[float, float]]:
    """A place and a length that fit into 100 together."""
    place = st.floats(0, 99)
    return place.flatmap(lambda begin: st.tuples(st.just(begin), st.floats(0.001, 100 - begin)))


def crop(text: str) -> Crop:
    region = Region.parse(crop=text)
    assert region is not None and isinstance(region.cut, Crop)
    return region.cut


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("0,0,640,360", (0, 0, 640, 360)),
        ("1279,719,1,1", (1279, 719, 1280, 720)),
        (" 10, 20, 30, 40 ", (10, 20, 40, 60)),
        ("pct:25,10,50,30", (320, 72, 960, 288)),
        ("pct:33.3333333333333,0,66.6666666666667,100", (427, 0, 1280, 720)),
        ("pct:0.01,0.01,0.01,0.01", (0, 0, 1, 1)),
        ("pct:99.99,99.99,0.01,0.01", (1279, 719, 1280, 720)),
    ],
)
def test_a_crop_is_a_box_of_pixels(text: str, box: tuple[int, ...]) -> None:
    assert crop(text).box(1280, 720) == box


@pytest.mark.parametrize("text", ["0,0,1281,1", "0,720,1,1", "1280,0,1,1", "0,0,99999,99999"])
def test_a_crop_must_lie_in_the_picture(text: str) -> None:
    with pytest.raises(OutsideError):
        crop(text).box(1280, 720)


@pytest.mark.parametrize("corners", ["0,0 1281,0 1280,720 0,720", "0,0 1280,0 1280,720.01 0,720"])
def test_corners_must_lie_in_the_picture(corners: str) -> None:
    region = Region.parse(deskew=corners)
    assert region is not None and isinstance(region.cut, Deskew)
    with pytest.raises(OutsideError):
        region.cut.points(1280, 720)


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("crop", "1,2,3", "x,y,width,height"),
        ("crop", "1,2,3,4,5", "x,y,width,height"),
        ("crop", "1.5,2,3,4", "whole pixels"),
        ("crop", "-1,2,3,4", "x,y,width,height"),
        ("crop", "full", "x,y,width,height"),
        ("crop", "pct:1e1,0,1,1", "x,y,width,height"),
        ("crop", "\u0661,2,3,4", "x,y,width,height"),
        ("crop", "1,2,3,4\n5", "x,y,width,height"),
        ("crop", "1,2,0,4", "more than 0"),
        ("crop", "pct:1,2,3,0.00001", "more than 0"),
        ("crop", "pct:60,0,50,10", "100 percent"),
        ("rotate", "361", "-360 to 360"),
        ("rotate", "nan", "degrees"),
        ("rotate", "90 degrees", "degrees"),
        ("deskew", "0,0 1,0 1,1", "four corners"),
        ("deskew", "0,0,1,0,1,1,0,1", "four corners"),
        ("deskew", "pct:0,0 101,0 90,90 0,90", "100 percent"),
        ("deskew", "0,0 0,10 10,10 10,0", "mirror"),
        ("deskew", "0,0 10,10 10,0 0,10", "convex"),
        ("deskew", "0,0 10,0 20,0 0,10", "convex"),
        ("deskew", "5,5 5,5 5,5 5,5", "convex"),
        ("deskew", "0,0 10,0 3,3 0,10", "convex"),
    ],
)
def test_what_cannot_be_meant_is_refused(field: str, text: str, says: str) -> None:
    with pytest.raises(RegionError, match=says) as caught:
        Region.parse(**{field: text})
    assert caught.value.field == field


def test_a_crop_and_corners_are_two_cuts() -> None:
    with pytest.raises(RegionError, match="beside 'crop'"):
        Region.parse(crop="0,0,1,1", deskew="0,0 1,0 1,1 0,1")


@pytest.mark.parametrize("rotate", [float("nan"), float("inf"), 360.5])
def test_numbers_have_the_bounds_of_texts(rotate: float) -> None:
    with pytest.raises(RegionError):
        Region.parse(rotate=rotate)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"crop": "", "rotate": "", "deskew": ""},
        {"crop": "pct:0,0,100,100"},
        {"deskew": "pct:0,0 100,0 100,100 0,100"},
        {"rotate": "0"},
        {"rotate": 360},
        {"rotate": -0.000001},
    ],
)
def test_all_of_the_picture_is_no_region(fields: dict[str, str]) -> None:
    assert Region.parse(**fields) is None


@pytest.mark.parametrize(
    "one, other",
    [
        ({"crop": "pct:10,20,30,40"}, {"crop": "pct:10.0, 20.00001,30.,040"}),
        ({"rotate": -90}, {"rotate": "270"}),
        ({"rotate": "+7.5"}, {"rotate": 7.5}),
        ({"deskew": "0,0 10,0 10,10 0,10"}, {"deskew": "0.0,0  10,0\t10,10 0,10"}),
    ],
)
def test_equal_parts_are_equal(one: dict[str, str], other: dict[str, str]) -> None:
    assert Region.parse(**one) == Region.parse(**other) is not None
    assert str(Region.parse(**one)) == str(Region.parse(**other))


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_is_a_region_or_refused_in_words(crop: str, rotate: str, deskew: str) -> None:
    for fields in ({"crop": crop}, {"rotate": rotate}, {"deskew": deskew}, {"crop": crop, "rotate": rotate}):
        with suppress(RegionError):
            region = Region.parse(**fields)
            assert Region.read("" if region is None else str(region)) == region


@given(percents(), percents(), SIDES, SIDES, st.floats(-360, 360))
def test_a_part_in_percent_is_in_every_picture_and_its_text_gives_it_again(
    across: tuple[float, float], along: tuple[float, float], width: int, height: int, rotate: float
) -> None:
    text = f"pct:{across[0]:.9f},{along[0]:.9f},{across[1]:.9f},{along[1]:.9f}"
    assume(Crop.parse(text) is not None)  # all of it is no part
    region = Region.parse(crop=text, rotate=rotate)
    assert region is not None and isinstance(region.cut, Crop) and 0 <= region.rotate < 360
    left, top, right, bottom = region.cut.box(width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    # to the nearest border between pixels, and one further where nothing would be left
    assert abs(left - across[0] * width / 100) <= 1.1 and abs(bottom - (along[0] + along[1]) * height / 100) <= 1.6
    assert Region.read(str(region)) == region


@given(st.lists(st.tuples(SIDES, SIDES), min_size=4, max_size=4))
def test_corners_go_round_once_or_are_refused(corners: list[tuple[int, int]]) -> None:
    text = " ".join(f"{x},{y}" for x, y in corners)
    with suppress(RegionError):
        region = Region.parse(deskew=text)
        assert region is not None and Region.read(str(region)) == region
        # any three of them in their order turn right, so no line through one leaves the others on both sides
        for index in range(4):
            (x0, y0), (x1, y1), (x2, y2) = (corners[(index + step) % 4] for step in range(3))
            assert (x1 - x0) * (y2 - y1) > (y1 - y0) * (x2 - x1)


def test_a_part_is_known_by_its_file_and_its_text() -> None:
    parts = [None, *(Region.parse(crop=f"{n},0,1,1") for n in range(3)), Region.parse(rotate=90)]
    digests = {part_digest(file, part) for file in ("00" * 32, "01" * 32) for part in parts}
    assert len(digests) == 10 and all(len(bytes.fromhex(one)) == 32 for one in digests)
    assert part_digest("ab" * 32, None) == "ab" * 32
