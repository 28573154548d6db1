"""From the text of an `image_url` to bytes: forgiving where tools differ, closed to everything else."""

import base64
from urllib.parse import quote

import pytest
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.intake import image_bytes
from hypothesis import given
from hypothesis import strategies as st

LIMITS = ImageLimits()
DATA = bytes(range(256)) + b"\xfb\xff\xfe"  # its base64 holds + and /
TEXT = base64.b64encode(DATA).decode()
PADDED = b"\xff\xd8\xff\xe0"  # its base64 ends in ==


def refusal(image_url: str, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        image_bytes(image_url, limits)
    return caught.value


@pytest.mark.parametrize(
    "image_url",
    [
        f"data:image/png;base64,{TEXT}",
        f"DATA:IMAGE/PNG;BASE64,{TEXT}",
        f"data:image/jpeg;name=part 7.jpg;charset=utf-8;base64,{TEXT}",
        f"data:;base64,{TEXT}",
        f"data:text/plain;base64,{TEXT}",
        f"data:image/png; base64 ,{TEXT}",
        f"  data:image/png;base64, {TEXT}\n",
        f"data:image/png;base64,{base64.encodebytes(DATA).decode()}",
        f"data:image/png;base64,{base64.urlsafe_b64encode(DATA).decode()}",
        TEXT,
        base64.encodebytes(DATA).decode(),
        base64.encodebytes(DATA).decode().replace("\n", "\r\n"),
        base64.urlsafe_b64encode(DATA).decode(),
        f"\t{TEXT}\r\n\r\n",
        f"data:image/png;base64,{quote(TEXT, safe='')}",
        quote(TEXT, safe=""),
        quote(base64.encodebytes(DATA).decode(), safe=""),
        f"data:image%2Fpng;base64,{TEXT}",
        f"data:image%2fpng%3Bname=a%2Cb%3bbase64,{TEXT}",
        quote(f"data:image/png;base64,{TEXT}", safe=""),
        f"DATA%3aimage%2fpng%3bBASE64%2c{TEXT}",
        TEXT.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d"),
    ],
)
def test_accepted(image_url: str) -> None:
    assert image_bytes(image_url, LIMITS) == DATA


def test_padding_may_be_missing() -> None:
    text = base64.b64encode(PADDED).decode()
    assert text.endswith("==")
    for given_text in (text, text[:-1], text[:-2], f"data:;base64,{text[:-2]}"):
        assert image_bytes(given_text, LIMITS) == PADDED


@pytest.mark.parametrize("url", ["http://example.com/a.png", "https://example.com/a.png", " HTTPS://A/", "hTTp://"])
def test_remote_pictures_are_not_fetched(url: str) -> None:
    error = refusal(url)
    assert error.code == "remote_images_disabled"
    assert "data:image/jpeg;base64," in str(error)


@pytest.mark.parametrize(
    "image_url",
    [
        "",
        "  \n",
        "=",
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,",
        f"data:image/png,{TEXT}",
        f"data:base64,{TEXT}",
        f"data%3Abase64%2C{TEXT}",
        f"data%3Aimage%2Fpng%3Bbase64,{TEXT}",
        f"data:image/png%253Bbase64,{TEXT}",
        f"data:image/png;base64;charset=x{TEXT}",
        "data:" + "a" * 2000 + f";base64,{TEXT}",
        "file:///etc/passwd",
        "ftp://example.com/a.png",
        "/srv/a.png",
        "a.png",
        "A",
        "AAAAA",
        "AA=A",
        "AA*A",
        f"{TEXT}\0",
        f"{TEXT}é",
        "data:image/png;base64,\ud800",
        "data:image/png;base64,iVBOR%2",
        "data:image/png;base64,iVBOR%41w0KGgo",
    ],
)
def test_refused(image_url: str) -> None:
    error = refusal(image_url)
    assert error.code == "image_invalid"
    assert "image_url must be a base64 data URL" in str(error)


@pytest.mark.parametrize("size, accepted", [(100, True), (101, False), (102, False), (10_000, False)])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_size_is_checked_before_decoding(size: int, accepted: bool, prefix: str) -> None:
    limits = ImageLimits(max_bytes=100)
    text = prefix + base64.encodebytes(bytes(size)).decode()
    if accepted:
        assert image_bytes(text, limits) == bytes(size)
    else:
        assert refusal(text, limits).code == "image_too_large"


def test_text_that_is_mostly_white_space_is_bounded_too() -> None:
    assert refusal(" " * 100_000, ImageLimits(max_bytes=100)).code == "image_too_large"


def wrapped(text: str, width: int, ending: str) -> str:
    return ending.join(text[at : at + width] for at in range(0, len(text), width))


@given(
    data=st.binary(min_size=1, max_size=300),
    header=st.sampled_from(["", "data:;base64,", "data:image/png;base64,", "data:image/jpeg;name=a.b;base64,"]),
    upper=st.booleans(),
    url_safe=st.booleans(),
    padded=st.booleans(),
    width=st.integers(1, 80),
    ending=st.sampled_from(["\n", "\r\n", " ", "\t", "\n\n", ""]),
)
def test_every_spelling_of_a_file_is_that_file(
    data: bytes, header: str, upper: bool, url_safe: bool, padded: bool, width: int, ending: str
) -> None:
    encoded = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    encoded = encoded if padded else encoded.rstrip("=")
    text = (header.upper() if upper else header) + wrapped(encoded, width, ending)
    assert image_bytes(f"{ending}{text}{ending}", LIMITS) == data


@given(st.binary(min_size=1, max_size=60), st.integers(0, 79), st.characters(exclude_characters="+/-_= \t\r\n\f\v"))
def test_a_strange_character_is_never_skipped(data: bytes, place: int, strange: str) -> None:
    """As lenient decoders do: then two texts that differ would be one picture, and a damaged one would pass."""
    encoded = base64.b64encode(data).decode().rstrip("=")
    text = encoded[: place % len(encoded)] + strange + encoded[place % len(encoded) :]
    if strange.isascii() and strange.isalnum():
        return
    assert refusal(text).code == "image_invalid"


@given(st.text(max_size=200))
def test_any_text_gives_bytes_or_an_image_error_that_does_not_repeat_it(text: str) -> None:
    for image_url in (text, f"data:{text}", f"data:image/png;base64,{text}"):
        try:
            image_bytes(image_url, LIMITS)
        except ImageError as error:
            assert len(text) < 8 or text not in str(error)


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_come_back(data: bytes) -> None:
    assert image_bytes(base64.b64encode(data).decode(), LIMITS) == data
