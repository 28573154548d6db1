"""HEIC and AVIF, the pictures of phones: their colours, their limits, and a server without the extra."""

import struct
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from edgevlm_server.images.decode.decoder import ImageDecoder, ImageWorkerBusy
from edgevlm_server.images.decode.rgb import decode_rgb
from edgevlm_server.images.formats import limits
from edgevlm_server.images.formats.header import read_header
from edgevlm_server.images.formats.isobmff import brand, largest_size
from edgevlm_server.images.formats.limits import ImageError, ImageFormat, ImageLimits, installed_formats
from PIL import Image, features

from tests.server.images.image_files import encode, noise, plain
from tests.server.images.image_workers import SIZE, TEAL, assert_right, decoder, refusal

LIMITS = ImageLimits()
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
FINE = {"quality": 100, "chroma": 444, "subsampling": "4:4:4"}
BOTH = pytest.mark.parametrize("image_format", ["HEIF", "AVIF"])


@pytest.fixture
def made() -> Iterator[ImageDecoder]:
    with decoder() as made:
        yield made


def near(image: Image.Image, colour: tuple[int, int, int], within: int = 4) -> bool:
    return bool(np.abs(np.asarray(image, np.int16) - colour).max() <= within)


def sizes(data: bytes) -> list[int]:
    """Where the sizes stand in a file."""
    return [at + 8 for at in range(len(data)) if data[at : at + 4] == b"ispe"]


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A file whose header says another size than its pictures have."""
    changed = bytearray(data)
    for at in sizes(data):
        changed[at : at + 8] = struct.pack(">II", width, height)
    return bytes(changed)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


# What people see


@BOTH
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_modes(image_format: str, mode: str) -> None:
    if (image_format, mode) == ("AVIF", "LA"):
        mode = "RGBA"  # it has no grey with alpha
    image = plain((90, 90, 90), (70, 66)).convert(mode)
    decoded = decode_rgb(encode(image, image_format, **FINE), image_format)
    assert decoded.mode == "RGB" and decoded.size == (70, 66)
    assert near(decoded, (90, 90, 90))


@BOTH
def test_alpha_on_white(image_format: str) -> None:
    image = Image.new("RGBA", (192, 64), (255, 0, 0, 255))
    image.paste((255, 0, 0, 128), (64, 0, 128, 64))
    image.paste((255, 0, 0, 0), (128, 0, 192, 64))
    decoded = decode_rgb(encode(image, image_format, **FINE), image_format)
    for left, colour in ((10, RED), (74, (255, 127, 127)), (138, WHITE)):
        assert near(decoded.crop((left, 10, left + 40, 54)), colour, within=6)


@BOTH
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(image_format: str, orientation: int) -> None:
    """Both have properties of their own for it, beside EXIF's."""
    stored = Image.new("RGB", (128, 64), "red")
    stored.paste("blue", (0, 0, 64, 32))  # the upper left quarter
    exif = turned(orientation)
    decoded, reference = (decode_rgb(encode(stored, name, exif=exif, **FINE), name) for name in (image_format, "PNG"))
    assert decoded.size == reference.size == ((128, 64) if orientation < 5 else (64, 128))
    corners = [(6, 6), (decoded.width - 7, 6), (6, decoded.height - 7), (decoded.width - 7, decoded.height - 7)]
    for corner in corners:
        expected = reference.getpixel(corner)
        assert isinstance(expected, tuple)
        assert near(decoded.crop((*corner, corner[0] + 1, corner[1] + 1)), expected[:3], within=8)  # type: ignore[arg-type]


@pytest.mark.slow
def test_tiles_as_phones_write_them() -> None:
    image = noise(40, 30).resize((1000, 700))
    data = encode(image, "HEIF", tile_size=256, **FINE)
    assert largest_size(data) == (1000, 700)
    assert np.abs(np.asarray(decode_rgb(data, "HEIF"), np.int16) - np.asarray(image)).mean() < 2


@BOTH
def test_first_of_several(image_format: str) -> None:
    data = encode(plain(RED, (64, 64)), image_format, save_all=True, append_images=[plain(BLUE, (64, 64))], **FINE)
    assert near(decode_rgb(data, image_format), RED)


# Limits


@BOTH
def test_size_is_read_from_the_header(image_format: ImageFormat) -> None:
    data = encode(plain(RED, (192, 128)), image_format)
    header = read_header(data, LIMITS)
    assert (header.format, header.width, header.height) == (image_format, 192, 128)
    for width, height in ((6000, 6000), (16385, 1), (1, 16385), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(ImageError) as caught:
            read_header(with_size(data, width, height), LIMITS)
        assert caught.value.code == "image_too_large"
    with pytest.raises(ImageError) as caught:
        read_header(with_size(data, 0, 64), LIMITS)
    assert caught.value.code == "image_invalid"


@BOTH
def test_the_largest_of_several_sizes_counts(image_format: ImageFormat) -> None:
    frames = {"save_all": True, "append_images": [plain(BLUE, (64, 64))]}
    data = bytearray(encode(plain(RED, (64, 64)), image_format, **frames))
    at = sizes(bytes(data))[-1]
    data[at : at + 8] = struct.pack(">II", 9000, 9000)
    with pytest.raises(ImageError, match="megapixels"):
        read_header(bytes(data), LIMITS)


@pytest.mark.slow
def test_a_heic_larger_than_its_header_says_is_refused(made: ImageDecoder) -> None:
    assert refusal(made, with_size(encode(noise(640, 640), "HEIF"), 64, 64)).code == "image_invalid"
    assert_right(made)


@pytest.mark.slow
def test_an_avif_larger_than_its_header_says_gets_no_more_than_the_worker_has(made: ImageDecoder) -> None:
    """Its reader scales what it finds to what the header says; memory and time are limited in any case."""
    data = with_size(encode(plain(TEAL, (5000, 4000)), "AVIF", speed=10), 64, 64)
    assert made.decode(data).size == (SIZE, SIZE)
    # whichever of the two times is over first
    over = pytest.raises((ImageError, ImageWorkerBusy), match=r"decode|in time")
    with decoder(limits=ImageLimits(decode_seconds=0.001)) as hurried, over:
        hurried.decode(data)
    assert_right(made)


@BOTH
def test_every_truncation_is_refused(made: ImageDecoder, image_format: str) -> None:
    data = encode(noise(90, 90), image_format)
    for length in range(12, len(data), max(1, len(data) // 40)):
        assert refusal(made, data[:length]).code in ("image_invalid", "image_unsupported")
    assert_right(made)


@pytest.mark.slow
def test_a_tile_that_is_cut_off_is_refused_and_what_phones_append_is_not(made: ImageDecoder) -> None:
    """The reader by itself would paint the tile grey."""
    data = encode(noise(256, 256), "HEIF", tile_size=64)
    whole = made.decode(data)
    assert refusal(made, data[:-1]).code == "image_invalid"
    assert refusal(made, data[:-3000]).code == "image_invalid"
    assert made.decode(data + b"\0\0\xff\xff" + b"tail" * 9).tobytes() == whole.tobytes()


def test_what_a_file_says_it_is() -> None:
    def file_type(*brands: bytes) -> bytes:
        return struct.pack(">I4s4s4s", 16 + 4 * len(brands[1:]), b"ftyp", brands[0], bytes(4)) + b"".join(brands[1:])

    assert brand(file_type(b"heic")) == brand(file_type(b"mif1", b"heic")) == brand(file_type(b"heix")) == "HEIF"
    assert brand(file_type(b"avif")) == brand(file_type(b"mif1", b"miaf", b"avif")) == "AVIF"
    for other in (file_type(b"mif1"), file_type(b"isom", b"mp42"), file_type(b"qt  "), b"\0\0\0\x10ftyp", b""):
        assert brand(other) is None


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        struct.pack(">I4s", 0, b"meta"),
        struct.pack(">I4s", 7, b"meta") + bytes(50),
        struct.pack(">I4s", 2**31, b"meta") + bytes(50),
        struct.pack(">I4sQ", 1, b"meta", 2**63) + bytes(50),
        struct.pack(">I4sQ", 1, b"meta", 15) + bytes(50),
        struct.pack(">I4s", 8, b"free") * 100_000,
        struct.pack(">I4sII4s", 0, b"meta", 0, 0, b"iprp") + struct.pack(">I4s", 0, b"ipco"),
        struct.pack(">I4sII4s", 0, b"meta", 0, 0, b"iprp") + struct.pack(">I4sI4s", 0, b"ipco", 9, b"ispe"),
    ],
)
def test_boxes_that_mislead_are_refused(rest: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        read_header(b"\0\0\0\x10ftypheic\0\0\0\0" + rest, LIMITS)
    assert caught.value.code == "image_invalid"


# Without the extra


def test_a_server_without_the_extra_says_so() -> None:
    limits = ImageLimits(formats=("JPEG", "PNG", "AVIF"))
    with pytest.raises(ImageError) as caught:
        read_header(encode(plain(RED, (64, 64)), "HEIF"), limits)
    assert caught.value.code == "image_unsupported"
    assert "the extra 'heic'" in str(caught.value) and str(caught.value).endswith(
        "Supported formats: JPEG, PNG, AVIF."
    )


def test_formats_follow_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(installed_formats()) == set(limits.FORMATS)
    monkeypatch.setattr(limits, "HEIC_READER", "a_package_that_is_not_there")
    monkeypatch.setattr(features, "check", lambda name: False)
    assert set(limits.FORMATS) - set(installed_formats()) == {"HEIF", "AVIF"}
    assert ImageLimits().formats == ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@pytest.mark.slow
def test_only_the_worker_holds_the_library() -> None:
    """A process that serves must not load a decoder with a history of holes."""
    code = "import edgevlm_server.run, edgevlm_server.images.pipeline, sys; print('pillow_heif' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
