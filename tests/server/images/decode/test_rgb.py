"""Every kind of pixel that cameras and tools write, to the colours that a person would see."""

import struct
from typing import Any

import numpy as np
import pytest
from edgevlm_server.images.decode.rgb import UnsupportedMode, decode_rgb
from PIL import Image, ImageCms, PngImagePlugin

from tests.server.images.image_files import encode, noise, pixels, plain, png, tiff

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("image_format", LOSSLESS)
def test_lossless_formats_are_exact(image_format: str) -> None:
    image = noise(17, 5)
    decoded = decode_rgb(encode(image, image_format, **LOSSLESS[image_format]), image_format)
    assert decoded.mode == "RGB"
    assert decoded.tobytes() == image.tobytes()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression: str) -> None:
    image = noise(17, 5)
    assert decode_rgb(encode(image, "TIFF", compression=compression), "TIFF").tobytes() == image.tobytes()


@pytest.mark.parametrize("image_format", ["JPEG", "GIF", "WEBP"])
def test_lossy_formats_are_near(image_format: str) -> None:
    decoded = decode_rgb(encode(plain((200, 30, 60), (16, 16)), image_format), image_format)
    assert np.abs(np.asarray(decoded, np.int16) - (200, 30, 60)).max() <= 4


def test_grey_and_bilevel() -> None:
    grey = Image.new("L", (2, 1), 77)
    assert pixels(decode_rgb(encode(grey, "PNG"), "PNG")) == [(77, 77, 77)] * 2
    bilevel = Image.new("1", (2, 1), 0)
    bilevel.putpixel((1, 0), 255)
    for image_format in ("PNG", "BMP", "TIFF"):
        assert pixels(decode_rgb(encode(bilevel, image_format), image_format)) == [BLACK, WHITE]
    fax = encode(bilevel, "TIFF", compression="group4")
    assert pixels(decode_rgb(fax, "TIFF")) == [BLACK, WHITE]


def palette_image() -> Image.Image:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    for x in range(3):
        image.putpixel((x, 0), x)
    return image


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette(image_format: str) -> None:
    assert pixels(decode_rgb(encode(palette_image(), image_format), image_format)) == [RED, GREEN, BLUE]


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk(image_format: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    decoded = decode_rgb(encode(image, image_format), image_format)
    assert np.abs(np.asarray(decoded, np.int16) - RED).max() <= 3


def segment(jpeg: bytes, marker: int) -> slice:
    """Where a JPEG has the first segment of that kind."""
    start = jpeg.index(bytes((0xFF, marker)))
    return slice(start, start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big"))


def test_cmyk_is_inverted_as_photoshop_writes_it_with_and_without_its_mark() -> None:
    """Pillow writes as Photoshop does: 255 is no ink, and a segment APP14 says who wrote it."""
    data = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    adobe = segment(data, 0xEE)
    assert data[adobe][4:9] == b"Adobe"
    without = data[: adobe.start] + data[adobe.stop :]
    for jpeg in (data, without):
        assert np.abs(np.asarray(decode_rgb(jpeg, "JPEG"), np.int16) - RED).max() <= 3


def test_ycck_as_photoshop_writes_it() -> None:
    """Brightness and colour of the inks instead of three of them, and all four inverted."""
    inks = (40, 200, 90, 30)  # cyan, magenta, yellow, black
    ycc = Image.new("RGB", (16, 16), inks[:3]).convert("YCbCr")
    stored = Image.merge("CMYK", [*ycc.split(), Image.new("L", (16, 16), 255 - inks[3])])
    data = bytearray(encode(stored.point(lambda value: 255 - value), "JPEG", quality=95))  # undoes Pillow's inversion
    data[segment(bytes(data), 0xEE).stop - 1] = 2  # the transform: YCCK
    expected = Image.new("CMYK", (16, 16), inks).convert("RGB")
    decoded = decode_rgb(bytes(data), "JPEG")
    assert np.abs(np.asarray(decoded, np.int16) - np.asarray(expected, np.int16)).max() <= 4


def test_ycbcr_tiff() -> None:
    data = encode(plain((200, 30, 60)).convert("YCbCr"), "TIFF", compression="jpeg")
    decoded = decode_rgb(data, "TIFF")
    assert np.abs(np.asarray(decoded, np.int16) - (200, 30, 60)).max() <= 3


# Transparency


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
def test_alpha_on_white(image_format: str) -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (255, 0, 0, alpha))
    options = {"lossless": True, "exact": True} if image_format == "WEBP" else {}
    decoded = pixels(decode_rgb(encode(image, image_format, **options), image_format))
    assert decoded == [WHITE, (255, 127, 127), RED]


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_grey_with_alpha_on_white(image_format: str) -> None:
    image = Image.new("LA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (0, alpha))
    decoded = pixels(decode_rgb(encode(image, image_format), image_format))
    assert decoded == [WHITE, (127, 127, 127), BLACK]


def test_palette_with_alpha_in_tiff() -> None:
    image = palette_image().convert("PA")
    image.putalpha(0)
    assert pixels(decode_rgb(encode(image, "TIFF"), "TIFF")) == [WHITE] * 3


@pytest.mark.parametrize("key, expected", [(1, [RED, WHITE, BLUE]), (b"\x00\xff\x00", [WHITE, GREEN, WHITE])])
def test_transparent_palette_entries_on_white(key: int | bytes, expected: list[tuple[int, int, int]]) -> None:
    assert pixels(decode_rgb(encode(palette_image(), "PNG", transparency=key), "PNG")) == expected


def test_transparent_gif_on_white() -> None:
    assert pixels(decode_rgb(encode(palette_image(), "GIF", transparency=2), "GIF")) == [RED, GREEN, WHITE]


def test_transparent_colour_on_white() -> None:
    grey = png(2, 1, 8, 0, b"\0\x10\x20", transparent=struct.pack(">H", 0x10))
    assert pixels(decode_rgb(grey, "PNG")) == [WHITE, (32, 32, 32)]
    colour = png(2, 1, 8, 2, b"\0\x01\x02\x03\x01\x02\x04", transparent=struct.pack(">3H", 1, 2, 3))
    assert pixels(decode_rgb(colour, "PNG")) == [WHITE, (1, 2, 4)]
    bilevel = png(2, 1, 1, 0, b"\0\x40", transparent=struct.pack(">H", 0))
    assert pixels(decode_rgb(bilevel, "PNG")) == [WHITE, WHITE]


def test_transparent_colour_of_16_bits_on_white() -> None:
    grey = png(4, 1, 16, 0, b"\0" + struct.pack(">4H", 0, 999, 1000, 1001), struct.pack(">H", 1000))
    assert pixels(decode_rgb(grey, "PNG")) == [BLACK, (4, 4, 4), WHITE, (4, 4, 4)]
    rows = b"\0" + struct.pack(">6H", 0x1234, 0x2345, 0x3456, 0x34FF, 0x45FF, 0x5600)
    colour = png(2, 1, 16, 2, rows, struct.pack(">3H", 0x1234, 0x2345, 0x3456))
    assert pixels(decode_rgb(colour, "PNG")) == [WHITE, (0x34, 0x45, 0x56)]


@pytest.mark.parametrize("alpha, expected", [(0, RED), (255, RED), (128, (255, 127, 127))])
def test_bmp_whose_fourth_byte_is_unused_is_not_transparent(alpha: int, expected: tuple[int, int, int]) -> None:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", 56, 1, 1, 1, 32, 3, 4, 0, 0, 0, 0) + masks
    bmp = struct.pack("<2sIHHI", b"BM", 74, 0, 0, 70) + info + bytes((0, 0, 255, alpha))
    assert pixels(decode_rgb(bmp, "BMP")) == [expected]


# More than 8 bits


def test_every_value_of_16_bit_grey_is_scaled() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(values / 257)
    files = {
        "PNG": encode(Image.fromarray(values), "PNG"),
        "TIFF": encode(Image.fromarray(values), "TIFF"),
    }
    for image_format, data in files.items():
        decoded = np.asarray(decode_rgb(data, image_format))
        assert np.array_equal(decoded, np.stack([expected] * 3, axis=-1)), image_format
    big_endian = tiff(256, 256, 16, values.astype(">u2").tobytes(), order=">")
    assert np.array_equal(np.asarray(decode_rgb(big_endian, "TIFF"))[..., 0], expected)


def test_12_bit_grey_is_scaled_by_its_own_white() -> None:
    decoded = decode_rgb(tiff(2, 1, 12, b"\x00\x0f\xff"), "TIFF")
    assert pixels(decoded) == [BLACK, WHITE]


@pytest.mark.parametrize(
    "data",
    [
        tiff(1, 1, 32, struct.pack("<i", 65536), sample_format=2),
        tiff(1, 1, 32, struct.pack("<i", -1), sample_format=2),
        tiff(1, 1, 32, struct.pack("<f", 0.5), sample_format=3),
        encode(Image.new("LAB", (2, 2)), "TIFF"),
    ],
    ids=["above 16 bits", "negative", "float", "Lab"],
)
def test_pixels_without_an_agreed_meaning_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedMode):
        decode_rgb(data, "TIFF")


def test_16_bit_colour() -> None:
    rows = b"\0" + struct.pack(">6H", 65535, 0, 32768, 0, 65535, 0)
    assert pixels(decode_rgb(png(2, 1, 16, 2, rows), "PNG")) == [(255, 0, 128), GREEN]


# Orientation, frames, profiles


def stored_as(upright: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], orientation: int) -> Image.Image:
    """What a camera stores that was held so: the inverse of what EXIF says has to be done."""
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    return Image.fromarray(np.ascontiguousarray(stored))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF, LZW"])
def test_exif_orientation(orientation: int, image_format: str) -> None:
    colours = np.array([[(250, 0, 0), (0, 250, 0), (0, 0, 250)], [(250, 250, 0), (90, 90, 90), (0, 0, 0)]])
    upright = colours.repeat(16, axis=0).repeat(16, axis=1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True},
        "TIFF, LZW": {"compression": "tiff_lzw"},
    }
    how = options.get(image_format, {})
    image_format = image_format.removesuffix(", LZW")
    data = encode(stored_as(upright, orientation), image_format, exif=exif, **how)
    decoded = np.asarray(decode_rgb(data, image_format), np.int16)
    assert decoded.shape == upright.shape
    assert np.abs(decoded - upright).max() <= (12 if image_format == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01"]
)
def test_damaged_exif_is_ignored(exif: bytes) -> None:
    image = noise(8, 8)
    assert decode_rgb(encode(image, "PNG", exif=exif), "PNG").tobytes() == image.tobytes()


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame(image_format: str) -> None:
    frames = {"save_all": True, "append_images": [plain(BLUE)]}
    options = {"lossless": True} if image_format == "WEBP" else {}
    assert pixels(decode_rgb(encode(plain(RED), image_format, **frames, **options), image_format))[0] == RED


def test_default_picture_of_an_animated_png() -> None:
    """It comes first, whether it is part of the animation or not: programs without animations show it."""
    frames = {"save_all": True, "append_images": [plain(BLUE), plain(GREEN)], "default_image": True}
    assert pixels(decode_rgb(encode(plain(RED), "PNG", **frames), "PNG"))[0] == RED


def test_first_frame_of_a_gif_that_covers_a_part_alone() -> None:
    image = palette_image()
    image.info["transparency"] = 1
    frames = {"save_all": True, "append_images": [plain(BLUE, (3, 1))], "transparency": 1, "disposal": 2}
    assert pixels(decode_rgb(encode(image, "GIF", **frames), "GIF")) == [RED, WHITE, BLUE]


def test_first_picture_of_an_mpo() -> None:
    decoded = decode_rgb(encode(plain(RED), "MPO", save_all=True, append_images=[plain(BLUE)]), "JPEG")
    assert np.abs(np.asarray(decoded, np.int16) - RED).max() <= 3


def test_colour_profile_is_ignored() -> None:
    image = noise(8, 8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert decode_rgb(encode(image, "PNG", icc_profile=profile), "PNG").tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_scale_of_a_jpeg(mode: str, scale: int) -> None:
    decoded = decode_rgb(encode(Image.new(mode, (400, 200)), "JPEG"), "JPEG", scale)
    assert decoded.size == (400 // scale, 200 // scale)


# Metadata, and a missing end


@pytest.mark.parametrize("method", ["add_text", "add_itxt"])
@pytest.mark.parametrize("key", ["Comment", "XML:com.adobe.xmp", "Raw profile type exif"])
@pytest.mark.parametrize("compressed", [True, False])
def test_megabytes_of_text_in_a_png_are_skipped(method: str, key: str, compressed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    getattr(info, method)(key, "text " * 800_000, zip=compressed)
    image = noise(8, 8)
    assert decode_rgb(encode(image, "PNG", pnginfo=info), "PNG").tobytes() == image.tobytes()


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("what", ["icc_profile", "xmp", "exif"])
def test_megabytes_of_profile_and_xmp_are_skipped(image_format: str, what: str) -> None:
    size = 60_000 if image_format == "JPEG" and what != "icc_profile" else 3_000_000
    image = noise(16, 16)
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    plain_file = encode(image, image_format, **options)
    data = encode(image, image_format, **options, **{what: random_bytes(size)})
    if image_format == "PNG" and what == "xmp":
        assert len(data) == len(plain_file), "Pillow writes it now: the test of texts has a sibling here"
    else:
        assert len(data) > size
    assert decode_rgb(data, image_format).tobytes() == decode_rgb(plain_file, image_format).tobytes()


def test_extended_xmp_in_a_jpeg_is_skipped() -> None:
    jpeg = encode(noise(16, 16), "JPEG")
    segment_ = b"\xff\xe1\xff\xff" + b"http://ns.adobe.com/xmp/extension/\0" + random_bytes(65_498)
    assert decode_rgb(jpeg[:2] + segment_ * 50 + jpeg[2:], "JPEG").tobytes() == decode_rgb(jpeg, "JPEG").tobytes()


def random_bytes(size: int) -> bytes:
    return np.random.default_rng(3).bytes(size)


@pytest.mark.parametrize("key", ["Raw profile type exif", "XML:com.adobe.xmp"])
def test_texts_that_say_how_a_png_is_turned_are_read(key: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = b"Exif\0\0" + exif.tobytes()
    hexadecimal = f"\nexif\n{len(profile):8}\n{profile.hex()}\n"
    texts = {"Raw profile type exif": hexadecimal, "XML:com.adobe.xmp": '<x tiff:Orientation="6"/>'}
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, texts[key]) if key.startswith("XML") else info.add_text(key, texts[key], zip=True)
    assert decode_rgb(encode(plain(RED, (3, 2)), "PNG", pnginfo=info), "PNG").size == (2, 3)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_the_mark_of_its_end_is_the_same_picture(
    mode: str, options: dict[str, Any], scale: int
) -> None:
    data = encode(noise(90, 70).convert(mode), "JPEG", **options)
    whole = decode_rgb(data, "JPEG", scale)
    for missing in (1, 2):
        assert decode_rgb(data[:-missing], "JPEG", scale).tobytes() == whole.tobytes()


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_lacks_more_is_no_picture(options: dict[str, Any]) -> None:
    data = encode(noise(90, 70), "JPEG", **options)
    for missing in (8, 20, 100, 1000, len(data) // 2):
        with pytest.raises(OSError, match=r"truncated|complete"):
            decode_rgb(data[:-missing], "JPEG")
