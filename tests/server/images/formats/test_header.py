"""Limits that hold before anything is decoded: a header is enough to refuse a bomb."""

import dataclasses
import struct

import pytest
from edgevlm_server.images.formats.header import ImageHeader, read_header
from edgevlm_server.images.formats.limits import FORMATS, ImageError, ImageFormat, ImageLimits
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.server.images.image_files import encode, jpeg_with_scans, noise, plain, png, tiff

LIMITS = ImageLimits()
BOMB = b"\0" * 100


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_header(data, limits)
    return caught.value


def jpeg_frame(width: int, height: int, *, sof: int = 0xC0, precision: int = 8, scanned: int = 3) -> bytes:
    """The markers of a colour JPEG without any data."""
    frame = struct.pack(">HBHHB", 17, precision, height, width, 3) + bytes(9)
    scan = struct.pack(">HB", 6 + 2 * scanned, scanned) + bytes(2 * scanned + 3)
    return b"\xff\xd8\xff" + bytes([sof]) + frame + b"\xff\xda" + scan + b"\xff\xd9"


@pytest.mark.parametrize("image_format", FORMATS)
def test_size_and_format(image_format: ImageFormat) -> None:
    header = read_header(encode(noise(320, 64), image_format), LIMITS)
    assert header == ImageHeader(image_format, 320, 64)


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False}, {"exif": b"Exif\0\0II*\0"}])
def test_webp_of_every_kind(options: dict[str, object]) -> None:
    assert read_header(encode(noise(300, 20), "WEBP", **options), LIMITS) == ImageHeader("WEBP", 300, 20)


def test_tiff_of_both_byte_orders() -> None:
    for order in "<>":
        assert read_header(tiff(3, 2, 8, bytes(6), order=order), LIMITS) == ImageHeader("TIFF", 3, 2)


def test_bmp_from_the_top_and_of_os2() -> None:
    from_the_top = b"BM" + bytes(12) + struct.pack("<Iii", 40, 7, -5)
    os2 = b"BM" + bytes(12) + struct.pack("<IHH", 12, 7, 5)
    assert read_header(from_the_top, LIMITS) == read_header(os2, LIMITS) == ImageHeader("BMP", 7, 5)


@pytest.mark.parametrize("side", [9400, 13300])
def test_png_bombs(side: int) -> None:
    assert refusal(png(side, side, 1, 0, BOMB)).code == "image_too_large"


@pytest.mark.parametrize("width, height", [(6272, 6272), (16385, 1), (1, 16385), (2**31, 2**31)])
def test_too_many_pixels(width: int, height: int) -> None:
    error = refusal(png(width, height, 1, 0, BOMB))
    assert error.code == "image_too_large"
    assert "A PNG may have 16384 per side and 39.3 megapixels" in str(error)
    assert "1024 MiB of memory" in str(error)


@pytest.mark.parametrize("width, height", [(6000, 6000), (16384, 1), (1, 16384), (1, 1)])
def test_up_to_the_limit(width: int, height: int) -> None:
    assert read_header(png(width, height, 1, 0, BOMB), LIMITS).scale == 1


@pytest.mark.parametrize("data", [png(0, 5, 1, 0, BOMB), png(5, 0, 1, 0, BOMB), jpeg_frame(5, 0)])
def test_no_pixels(data: bytes) -> None:
    assert refusal(data).code == "image_invalid"


def test_jpegs_above_the_limit_are_decoded_at_a_fraction() -> None:
    assert read_header(jpeg_frame(4096, 4096), LIMITS).scale == 1
    assert read_header(jpeg_frame(4097, 4096), LIMITS).scale == 2
    assert read_header(jpeg_frame(8000, 5000), LIMITS).scale == 2
    assert refusal(jpeg_frame(8001, 5000)).code == "image_too_large"
    generous = dataclasses.replace(LIMITS, max_pixels=10**9, memory_bytes=1 << 33)
    assert read_header(jpeg_frame(16384, 16384), generous).scale == 4


@pytest.mark.parametrize("data", [jpeg_frame(8000, 5000, sof=0xC2), jpeg_frame(8000, 5000, scanned=1)])
def test_jpegs_that_need_all_coefficients_at_once_may_be_as_large(data: bytes) -> None:
    assert read_header(data, LIMITS).scale == 2


@pytest.mark.parametrize("image_format", FORMATS)
def test_pictures_of_24_megapixels_are_within_the_limit(image_format: ImageFormat) -> None:
    assert LIMITS.most_pixels(image_format) > 5712 * 4284


def test_less_memory_means_fewer_pixels() -> None:
    small = ImageLimits(memory_bytes=300 << 20)
    assert small.most_pixels("HEIF") < small.most_pixels("WEBP") < small.most_pixels("PNG") < 5_000_000
    assert "300 MiB" in str(refusal(png(3000, 2000, 1, 0, BOMB), small))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_may_lack_the_mark_of_its_end(mode: str, options: dict[str, object]) -> None:
    data = encode(noise(64, 64).convert(mode), "JPEG", **options)
    assert data.endswith(b"\xff\xd9")
    for missing in (1, 2):
        assert read_header(data[:-missing], LIMITS) == ImageHeader("JPEG", 64, 64)


def test_a_progressive_jpeg_may_not_lack_a_scan() -> None:
    data = encode(noise(64, 64), "JPEG", progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    assert refusal(data[:last_scan]).code == "image_invalid"
    baseline = encode(noise(64, 64), "JPEG")
    assert refusal(baseline[: baseline.index(b"\xff\xda")]).code == "image_invalid"


@pytest.mark.parametrize("sof", [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_rare_kinds_of_jpeg(sof: int) -> None:
    assert refusal(jpeg_frame(8, 8, sof=sof)).code == "image_unsupported"


def test_12_bit_jpeg() -> None:
    assert refusal(jpeg_frame(8, 8, sof=0xC1, precision=12)).code == "image_unsupported"


def test_scans_of_a_progressive_jpeg() -> None:
    usual = jpeg_with_scans(64, 64, extra=0)
    scans = usual.count(b"\xff\xda")
    assert 1 < scans <= 10
    read_header(jpeg_with_scans(64, 64, extra=64 - scans), LIMITS)
    assert refusal(jpeg_with_scans(64, 64, extra=65 - scans)).code == "image_too_large"
    assert "64" in str(refusal(jpeg_with_scans(64, 64, extra=200)))


def test_scans_hidden_from_a_naive_count_are_counted() -> None:
    """libjpeg steps over fill bytes, rubbish and restart markers between two scans, and so must the count."""
    jpeg = jpeg_with_scans(64, 64, extra=0)
    scan = b"\xff\xff\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x10rubbish\xff\x00\xff\xd0\xff\x01"
    assert refusal(jpeg[:-2] + scan * 100 + jpeg[-2:]).code == "image_too_large"


def test_marker_bytes_inside_metadata_and_after_the_end_are_not_scans() -> None:
    image = noise(64, 64)
    thumbnail = encode(image, "JPEG", comment=b"\xff\xda" * 100)
    motion_photo = thumbnail + b"\xff\xda" * 1000
    assert read_header(motion_photo, LIMITS) == ImageHeader("JPEG", 64, 64)


def test_restart_markers_are_not_counted() -> None:
    data = encode(noise(640, 640), "JPEG", restart_marker_blocks=1)
    assert data.count(b"\xff\xd0") > 100
    assert read_header(data, LIMITS) == ImageHeader("JPEG", 640, 640)


def test_endless_segments_are_refused() -> None:
    assert refusal(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 21_000).code == "image_invalid"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"%PDF-1.7",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"8BPS" + bytes(40),
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"II+\0\x08\0\0\0" + bytes(20),
        b"\0\0\0\x1cftypisom" + bytes(40),
    ],
    ids=["empty", "two bytes", "PDF", "SVG", "PSD", "EPS", "WAVE", "BigTIFF", "MP4"],
)
def test_other_formats(data: bytes) -> None:
    error = refusal(data)
    assert error.code == "image_unsupported"
    assert "JPEG, PNG, WebP, BMP, GIF, TIFF" in str(error)


def test_formats_can_be_narrowed() -> None:
    limits = ImageLimits(formats=("JPEG", "PNG", "WEBP"))
    error = refusal(tiff(1, 1, 8, b"\0"), limits)
    assert error.code == "image_unsupported"
    assert str(error).endswith("Supported formats: JPEG, PNG, WebP.")


def test_file_size() -> None:
    data = encode(plain((1, 2, 3)), "PNG")
    read_header(data, ImageLimits(max_bytes=len(data)))
    assert refusal(data, ImageLimits(max_bytes=len(data) - 1)).code == "image_too_large"
    assert "limit of 7 MiB" in str(refusal(bytes(LIMITS.max_bytes + 1)))


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_truncation_of_a_header(image_format: ImageFormat) -> None:
    data = encode(Image.new("RGB", (9, 9)), image_format)
    whole = read_header(data, LIMITS)
    for length in range(min(len(data), 400)):
        try:
            assert read_header(data[:length], LIMITS) == whole
        except ImageError as error:
            assert error.code in ("image_invalid", "image_unsupported")


MAGIC = [encode(Image.new("RGB", (9, 9)), image_format)[:16] for image_format in FORMATS]


@given(start=st.sampled_from(MAGIC), length=st.integers(2, 16), rest=st.binary(max_size=200))
def test_rubbish_is_refused_or_has_a_size(start: bytes, length: int, rest: bytes) -> None:
    try:
        header = read_header(start[:length] + rest, LIMITS)
    except ImageError:
        return
    assert 1 <= header.width <= LIMITS.max_side and 1 <= header.height <= LIMITS.max_side
    assert header.width * header.height <= LIMITS.max_pixels
