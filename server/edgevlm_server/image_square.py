"""A picture of any shape to the square that the vision encoder takes. Knows Pillow only: the decode worker imports it.

The result is, bit for bit, what padding the whole picture to a square and then resizing it gives. Done in that
order a strip of 1 x 16384 pixels would need a square of a gigabyte, so the rows are taken a band at a time.
"""

from PIL import Image

_BAND_PIXELS = 4_194_304  # 16 MB in Pillow's four bytes a pixel: one band up to 2048 x 2048


def fit_square(image: Image.Image, size: int, pad_colour: tuple[int, int, int]) -> Image.Image:
    """Pads an RGB picture in the middle of a square of its longer side, then resizes that to `size` x `size`.

    The offset on the short axis is `(long - short) // 2` and the filter is Pillow's bicubic, as upstream has it.
    A picture that is already `size` x `size` comes back unchanged.
    """
    if image.mode != "RGB":
        raise ValueError(f"an RGB picture is needed, not {image.mode}")
    width, height = image.size
    side = max(width, height)
    # Pillow's resize works along the rows first and then along the columns, rounding to bytes between the two:
    # calling it once for each axis gives the same bytes.
    rows = Image.new("RGB", (size, side), pad_colour)
    band = max(1, _BAND_PIXELS // side)
    for top in range(0, height, band):
        bottom = min(top + band, height)
        strip = _widen(image.crop((0, top, width, bottom)), side, pad_colour)
        rows.paste(_resize(strip, size, bottom - top), (0, (side - height) // 2 + top))
    return _resize(rows, size, size)


def _widen(strip: Image.Image, side: int, pad_colour: tuple[int, int, int]) -> Image.Image:
    if strip.width == side:
        return strip
    wide = Image.new("RGB", (side, strip.height), pad_colour)
    wide.paste(strip, ((side - strip.width) // 2, 0))
    return wide


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BICUBIC)
