"""A file's bytes to an upright RGB picture. Knows Pillow only: the decode worker runs it."""

import io
from importlib.util import find_spec
from typing import cast

from PIL import AvifImagePlugin, Image, ImageChops, TiffImagePlugin, WebPImagePlugin

from edgevlm_server.images.formats.limits import HEIC_READER
from edgevlm_server.images.formats.png import without_metadata

# Pillow would import its readers when first needed, in the middle of a request
Image.preinit()
_ = WebPImagePlugin
# a decoder's thread takes address space, of which a worker has little; so for HEIC below
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_JPEG_END = b"\xff\xd9"
_FILLERS = (bytes(1024), b"\x55" * 1024)
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_WIDE_GREY = ("I", "I;16", "I;16L", "I;16B", "I;16N")


class UnsupportedMode(ValueError):
    """The pixels are of a kind that has no agreed meaning as a picture: floats, 32-bit integers, Lab."""


def load_heic_reader() -> None:
    """Adds HEIC, if it is installed. Only for the process that decodes: nobody else should hold such a library."""
    if find_spec(HEIC_READER) is not None:
        from pillow_heif import register_heif_opener

        register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def decode_rgb(data: bytes, image_format: str, scale: int = 1) -> Image.Image:
    """The first frame in mode RGB: rotated as EXIF says, transparent parts white, colour profiles ignored.

    `scale` of 2, 4 or 8 decodes a JPEG at that fraction of its size. Raises UnsupportedMode, and for damaged
    files whatever Pillow raises.
    """
    if image_format == "PNG":
        data = without_metadata(data)
    try:
        return _decoded(data, image_format, scale)
    except OSError:
        if image_format != "JPEG":
            raise
        return _without_its_end(data, scale)


def _decoded(data: bytes, image_format: str, scale: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=(image_format,)) as image:
        if scale > 1:
            image.draft(None, (image.width // scale, image.height // scale))
        image.load()
        picture = _on_white(_eight_bits(image))
        turn = _turn(image)
        return picture if turn is None else picture.transpose(turn)


def _without_its_end(data: bytes, scale: int) -> Image.Image:
    """A JPEG that lacks the mark of its end and nothing else: then it does not matter what follows its data."""
    whole = data.removesuffix(_JPEG_END[:1])
    one, other = (_decoded(whole + filler + _JPEG_END, "JPEG", scale) for filler in _FILLERS)
    if one.tobytes() != other.tobytes():
        raise OSError("the picture is not complete")
    return one


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata does not make a picture unreadable
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scales 16-bit grey to 8 bits: Pillow's `convert` clips it, and nearly all of it turns white."""
    if image.mode in _EIGHT_BITS:
        return image
    if image.mode not in _WIDE_GREY:
        raise UnsupportedMode
    white = _white_level(image)
    wide = image.convert("I")
    darkest, brightest = cast(tuple[int, int], wide.getextrema())
    if darkest < 0 or brightest > white:
        raise UnsupportedMode
    grey = wide.point(lambda value: value * (255 / white) + 0.5).convert("L")
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = ImageChops.invert(grey)  # Pillow does so up to 8 bits
    if "transparency" in image.info:
        grey.putalpha(_unlike(wide, image.info["transparency"]))
    return grey


def _white_level(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_BITS_PER_SAMPLE) == (12,):
        return 4095
    return 65535


def _unlike(wide: Image.Image, key: int) -> Image.Image:
    """0 where a pixel has the value `key`, else 255. Pillow's own conversion compares after clipping."""
    below = wide.point(lambda value: value * -255 + 255 * key).convert("L")
    above = wide.point(lambda value: value * 255 - 255 * key).convert("L")
    return ImageChops.lighter(below, above)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:  # 16-bit PNG, of which Pillow keeps the upper bytes
        image.info["transparency"] = tuple(value >> 8 for value in key)
    picture = image.convert("RGBA")
    if image.format == "BMP" and picture.getchannel("A").getextrema() == (0, 0):
        return picture.convert("RGB")  # some Windows tools leave the fourth byte at zero
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")
