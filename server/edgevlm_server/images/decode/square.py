"""A picture of any shape to the square that the vision encoder takes. Knows Pillow only: the decode worker runs it.

What needs NumPy is in `preprocess`: the worker is to start soon, and to have little that a picture could attack.

The result is, bit for bit, what padding the whole picture to a square and then resizing gives. Done in that
order, a strip of 1 x 16384 pixels needs a square of a gigabyte: so the rows are taken a band at a time.
"""

from PIL import Image

_BAND_PIXELS = 4_194_304  # 16 MB in Pillow's four bytes a pixel: one band up to 2048 x 2048
_EXACT_SIDE = 4096

Square = Image.Image
"""As wide as high: what the vision encoder takes, in three bytes a pixel."""


def fit_square(image: Image.Image, size: int, pad_colour: tuple[int, int, int]) -> Image.Image:
    """Pads an RGB picture on both sides to a square, then resizes that to `size` x `size` pixels.

    The offset on the short axis is `(long - short) // 2` and the filter Pillow's bicubic, as upstream. A
    picture that is already `size` x `size` comes back unchanged. A picture that is taller than wide and has
    more than 4096 rows may differ from upstream by a grey level.
    """
    if image.mode != "RGB":
        raise ValueError(f"an RGB picture is needed, not {image.mode}")
    if image.height > max(image.width, _EXACT_SIDE):
        # rows first, the padding costs more time than the picture: 3 s for 1 x 16384 pixels
        turned = _rows_then_columns(image.transpose(Image.Transpose.TRANSPOSE), size, pad_colour)
        return turned.transpose(Image.Transpose.TRANSPOSE)
    return _rows_then_columns(image, size, pad_colour)


def _rows_then_columns(image: Image.Image, size: int, pad_colour: tuple[int, int, int]) -> Image.Image:
    # Pillow resizes along the rows first, then along the columns, and rounds to bytes between the two: one
    # call for each axis gives the same bytes
    width, height = image.size
    side = max(width, height)
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
