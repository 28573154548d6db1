"""TIFF files by hand, of every kind that a header can describe, and what their pixels mean by the standard."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int64]

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
UNCOMPRESSED, DEFLATE = 1, 8
UNUSED, PREMULTIPLIED, ALPHA = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the tags say. `extra` are the kinds of samples beyond those of the colour."""

    photometric: int
    bits: int
    extra: tuple[int, ...] = ()
    order: str = "<"
    fill_order: int = 1
    planar: int = 1
    compression: int = UNCOMPRESSED
    predictor: int = 1
    sample_format: int = 1
    tiled: bool = False

    @property
    def samples(self) -> int:
        colours = {RGB: 3, INKS: 4, YCBCR: 3, LAB: 3}.get(self.photometric, 1)
        return colours + len(self.extra)

    @property
    def white(self) -> int:
        return (1 << self.bits) - 1


def samples_of(kind: Kind, width: int = 21, height: int = 13, seed: int = 0) -> Samples:
    """Random ones, [height, width, samples]; colours that are premultiplied are at most their alpha."""
    made = np.random.default_rng(seed).integers(0, kind.white, (height, width, kind.samples), endpoint=True)
    made[0, 0], made[0, 1] = 0, kind.white
    if kind.extra[:1] == (PREMULTIPLIED,):
        colours = kind.samples - len(kind.extra)
        made[..., :colours] = np.minimum(made[..., :colours], made[..., colours : colours + 1])
    return made


def colour_map(bits: int) -> Samples:
    """16-bit colours, [3, entries]."""
    return np.random.default_rng(9).integers(0, 65536, (3, 1 << bits))


def meaning(kind: Kind, samples: Samples) -> NDArray[np.float64]:
    """The picture on white, RGB from 0 to 255, as the standard has it."""
    values = samples / kind.white
    colours = kind.samples - len(kind.extra)
    if kind.photometric == WHITE_IS_ZERO:
        rgb = np.repeat(1 - values[..., :1], 3, axis=-1)
    elif kind.photometric == BLACK_IS_ZERO:
        rgb = np.repeat(values[..., :1], 3, axis=-1)
    elif kind.photometric == PALETTE:
        rgb = (colour_map(kind.bits) // 256 / 255)[:, samples[..., 0]].transpose(1, 2, 0)
    elif kind.photometric == INKS:
        rgb = (1 - values[..., :3]) * (1 - values[..., 3:4])
    else:
        rgb = values[..., :3]
    alpha = values[..., colours : colours + 1]
    if kind.extra[:1] == (ALPHA,):
        rgb = rgb * alpha + 1 - alpha
    elif kind.extra[:1] == (PREMULTIPLIED,):
        rgb = rgb + 1 - alpha
    return 255 * rgb


def tiff_of(kind: Kind, samples: Samples, more: dict[int, tuple[int, list[int]]] | None = None) -> bytes:
    """The file; `more` are tags to add or to replace, with their type and values, or to leave out, with no values."""
    short, long = 3, 4
    height, width, _ = samples.shape
    blocks = list(_blocks(kind, samples))
    tags: dict[int, tuple[int, list[int]]] = {
        256: (long, [width]),
        257: (long, [height]),
        258: (short, [kind.bits] * kind.samples),
        259: (short, [kind.compression]),
        262: (short, [kind.photometric]),
        266: (short, [kind.fill_order]),
        277: (short, [kind.samples]),
        284: (short, [kind.planar]),
        317: (short, [kind.predictor]),
        320: (short, colour_map(kind.bits).ravel().tolist() if kind.photometric == PALETTE else []),
        338: (short, list(kind.extra)),
        339: (short, [kind.sample_format] * kind.samples),
    }
    offsets, sizes = ([0] * len(blocks), [len(block) for block in blocks])
    if kind.tiled:
        tags |= {322: (long, [16]), 323: (long, [16]), 324: (long, offsets), 325: (long, sizes)}
    else:
        tags |= {273: (long, offsets), 278: (long, [_STRIP]), 279: (long, sizes)}
    tags |= more or {}
    tags = {tag: tags[tag] for tag in sorted(tags) if tags[tag][1]}
    return _file(kind.order, tags, blocks)


_STRIP = 5
"""Rows, so that the last strip is shorter."""


def _file(order: str, tags: dict[int, tuple[int, list[int]]], blocks: list[bytes]) -> bytes:
    end = 8 + 2 + 12 * len(tags) + 4
    outside = {
        tag: len(values) * _size(kind) for tag, (kind, values) in tags.items() if len(values) * _size(kind) > 4
    }
    start = end + sum(outside.values())
    for tag in (273, 324):
        if tag in tags:
            starts = np.cumsum([0, *(len(block) for block in blocks)])[:-1] + start
            tags[tag] = (4, starts.tolist())
    entries, tail = b"", b""
    for tag, (kind, values) in tags.items():
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if tag in outside:
            where = struct.pack(f"{order}I", end + len(tail))
            tail += packed
        else:
            where = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + where
    magic = b"II*\x00" if order == "<" else b"MM\x00*"
    return magic + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4) + tail + b"".join(blocks)


def _size(kind: int) -> int:
    return 2 if kind == 3 else 4


def _blocks(kind: Kind, samples: Samples) -> Iterator[bytes]:
    planes = np.split(samples, kind.samples, axis=-1) if kind.planar == 2 else [samples]
    for plane in planes:
        for block in _tiles(plane) if kind.tiled else np.split(plane, range(_STRIP, len(plane), _STRIP)):
            yield _packed(kind, block)


def _tiles(plane: Samples) -> Iterator[Samples]:
    height, width, _ = plane.shape
    padded = np.pad(plane, ((0, -height % 16), (0, -width % 16), (0, 0)))
    for top in range(0, height, 16):
        for left in range(0, width, 16):
            yield padded[top : top + 16, left : left + 16]


def _packed(kind: Kind, block: Samples) -> bytes:
    if kind.predictor == 2:
        block = np.diff(block, axis=1, prepend=0) & kind.white
    if kind.bits in (16, 32):
        data = block.astype(f"{kind.order}u{kind.bits // 8}").tobytes()
    else:
        rows = block.reshape(len(block), -1)
        bits = rows[..., np.newaxis] >> np.arange(kind.bits - 1, -1, -1) & 1
        data = np.packbits(bits.reshape(len(block), -1).astype(np.uint8), axis=1).tobytes()
    if kind.compression == DEFLATE:
        data = zlib.compress(data)
    if kind.fill_order == 2:
        data = data.translate(bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256)))
    return data


def kinds(**fixed: Any) -> Iterator[Kind]:
    """Every arrangement of these samples: byte order, planes, strips or tiles, order of bits, compression."""
    for order in "<>":
        for planar in (1, 2):
            for tiled in (False, True):
                for fill_order in (1, 2):
                    for compression, predictor in ((UNCOMPRESSED, 1), (DEFLATE, 1), (DEFLATE, 2)):
                        kind = Kind(
                            **fixed,
                            order=order,
                            planar=planar,
                            tiled=tiled,
                            fill_order=fill_order,
                            compression=compression,
                            predictor=predictor,
                        )
                        if (planar == 1 or kind.samples > 1) and (predictor == 1 or kind.bits in (8, 16)):
                            yield kind
