"""Builds picture files for the tests: through Pillow where it can write them, by hand where it cannot."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from edgevlm_engines.manifest import Preprocessing
from edgevlm_server.images.decode.rgb import load_heic_reader
from PIL import Image

load_heic_reader()  # it writes, too

SPEC = Preprocessing(
    size=336,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    pad_colour=(122, 116, 104),
)


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, colour)


def pixels(image: Image.Image) -> list[Any]:
    """The pixels of a picture, row by row."""
    return [image.getpixel((x, y)) for y in range(image.height) for x in range(image.width)]


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, transparent: bytes = b"") -> bytes:
    """A PNG by hand; `rows` are unfiltered, each with its leading zero. The header may lie about its size."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(k, d) for k, d in chunks if d or k != b"tRNS")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(width: int, height: int, bits: int, rows: bytes, sample_format: int = 1, order: str = "<") -> bytes:
    """An uncompressed TIFF with one grey channel, black is zero. `order` as for `struct`."""
    short, long = 3, 4
    entries = {
        256: (long, width),
        257: (long, height),
        258: (short, bits),
        259: (short, 1),  # not compressed
        262: (short, 1),  # black is zero
        273: (long, 8 + 2 + 12 * 9 + 4),  # where the rows start
        278: (long, height),
        279: (long, len(rows)),
        339: (short, sample_format),
    }
    packed = b"".join(
        struct.pack(f"{order}HHI{'HH' if kind == short else 'I'}", tag, kind, 1, *([value, 0][: 5 - kind]))
        for tag, (kind, value) in entries.items()
    )
    magic = b"II*\x00" if order == "<" else b"MM\x00*"
    return magic + struct.pack(f"{order}IH", 8, len(entries)) + packed + bytes(4) + rows


def jpeg_with_scans(width: int, height: int, extra: int) -> bytes:
    """A progressive grey JPEG whose last scan, a few bytes, comes `extra` times more; each visits every block."""
    jpeg = encode(Image.new("L", (width, height), 90), "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + scan * extra + jpeg[-2:]
