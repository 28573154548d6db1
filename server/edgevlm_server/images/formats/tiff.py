"""What a TIFF's tags say: its size, and whether the meaning of its pixels is sure. Nothing is decoded here.

A TIFF can hold numbers of nearly every kind, and readers guess at those that they do not know: a negative or a black
picture would be answered as if it were right. So the kinds that were compared with the standard, arrangement by
arrangement, are listed here, and everything else is refused as unsupported.
"""

import struct
from typing import NamedTuple

from edgevlm_server.images.formats.limits import ImageLimits

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_SAMPLES, _PLANAR, _PREDICTOR, _COLOUR_MAP, _INK_SET = 277, 284, 317, 320, 332
_EXTRA, _SAMPLE_FORMAT = 338, 339
_READ = (
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _PLANAR, _PREDICTOR, _COLOUR_MAP),
    *(_INK_SET, _EXTRA, _SAMPLE_FORMAT),
)
_INTEGERS = {1: "B", 3: "H", 4: "I"}
_MOST_VALUES = 3 << 8  # a colour map of 8 bits

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_RGB: 3, _INKS: 4, _YCBCR: 3}
_NONE, _JPEG = 1, 7
_FAX = (2, 3, 4)
_PREDICTED = (5, 8, 32946)  # LZW and deflate
_COMPRESSIONS = (_NONE, *_PREDICTED, 32773)

_UNUSED, _PREMULTIPLIED, _ALPHA = 0, 1, 2
_FEW_BITS = (1, 2, 4, 8)
KINDS = frozenset(
    {
        *((photometric, bits, ()) for photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) for bits in (*_FEW_BITS, 16)),
        (_BLACK_IS_ZERO, 12, ()),
        *((_BLACK_IS_ZERO, 8, (extra,)) for extra in (_UNUSED, _ALPHA)),
        *((_PALETTE, bits, ()) for bits in _FEW_BITS),
        *((_PALETTE, 8, (extra,)) for extra in (_UNUSED, _ALPHA)),
        *((_RGB, bits, ()) for bits in (8, 16)),
        *((_RGB, bits, (extra,)) for bits in (8, 16) for extra in (_UNUSED, _PREMULTIPLIED, _ALPHA)),
        *((_INKS, bits, ()) for bits in (8, 16)),
        (_INKS, 8, (_UNUSED,)),
        (_YCBCR, 8, ()),
    }
)
"""Photometric interpretation, bits of each sample, and the samples beside the colour's."""
ONE_PLANE_EACH = frozenset({(_RGB, 8, ()), (_RGB, 8, (_ALPHA,))})
LITTLE_ENDIAN_ALONE = frozenset({(_WHITE_IS_ZERO, 16, ()), (_BLACK_IS_ZERO, 12, ())})
IN_JPEG = frozenset({(_BLACK_IS_ZERO, 8, ()), (_RGB, 8, ()), (_YCBCR, 8, ())})
BITS_IN_ANY_ORDER = frozenset({(_WHITE_IS_ZERO, 1, ()), (_BLACK_IS_ZERO, 1, ())})

Tags = dict[int, tuple[int, ...]]


class _Kind(NamedTuple):
    photometric: int
    bits: int
    extra: tuple[int, ...]


def tiff_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """(width, height). Raises `ImageError` for other kinds, struct.error or KeyError for a damaged file."""
    order = "<" if data[:2] == b"II" else ">"
    tags = _tags(data, order)
    size = tags[_WIDTH][0], tags[_HEIGHT][0]
    if not _is_sure(tags, order):
        raise limits.unsupported()
    return size


def _tags(data: bytes, order: str) -> Tags:
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    tags: Tags = {}
    for entry in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        if tag in _READ:
            tags[tag] = _values(data, order, entry + 8, _INTEGERS[kind], count)
    return tags


def _values(data: bytes, order: str, at: int, integer: str, count: int) -> tuple[int, ...]:
    if not 0 < count <= _MOST_VALUES:
        raise KeyError(count)
    packed = struct.Struct(f"{order}{count}{integer}")
    if packed.size > 4:
        (at,) = struct.unpack_from(f"{order}I", data, at)
    values: tuple[int, ...] = packed.unpack_from(data, at)
    return values


def _is_sure(tags: Tags, order: str) -> bool:
    kind = _kind(tags)
    return (
        kind in KINDS
        and set(tags.get(_SAMPLE_FORMAT, (1,))) == {1}
        and (order == "<" or kind not in LITTLE_ENDIAN_ALONE)
        and _is_among(tags, _FILL_ORDER, (1, 2) if kind in BITS_IN_ANY_ORDER else (1,))
        and _is_among(
            tags, _PLANAR, (1, 2) if kind in ONE_PLANE_EACH or len(kind.extra) + _colours(kind) == 1 else (1,)
        )
        and _is_among(tags, _INK_SET, (1,))
        and _is_packed_surely(tags, kind)
        and (kind.photometric != _PALETTE or _has_16_bit_colours(tags, kind.bits))
    )


def _kind(tags: Tags) -> _Kind | None:
    """None where the tags contradict each other, or leave out what has no default."""
    bits, extra = set(tags.get(_BITS, (1,))), tags.get(_EXTRA, ())
    samples = tags.get(_SAMPLES, (1,))
    if len(bits) != 1 or _PHOTOMETRIC not in tags:
        return None
    kind = _Kind(tags[_PHOTOMETRIC][0], bits.pop(), extra)
    return kind if samples == (_colours(kind) + len(extra),) else None


def _colours(kind: _Kind) -> int:
    return _COLOURS.get(kind.photometric, 1)


def _is_among(tags: Tags, tag: int, values: tuple[int, ...]) -> bool:
    """Whether a tag has one of the values; all of these have 1 as their default."""
    return tags.get(tag, (1,))[0] in values


def _is_packed_surely(tags: Tags, kind: _Kind) -> bool:
    compression, predictor = tags.get(_COMPRESSION, (_NONE,))[0], tags.get(_PREDICTOR, (1,))[0]
    if predictor != 1:
        return predictor == 2 and compression in _PREDICTED and kind.bits in (8, 16) and kind.photometric != _YCBCR
    if compression == _JPEG:
        return kind in IN_JPEG and _is_among(tags, _PLANAR, (1,))
    if compression in _FAX:
        return kind.bits == 1 and kind.photometric != _PALETTE
    return compression in _COMPRESSIONS and kind.photometric != _YCBCR


def _has_16_bit_colours(tags: Tags, bits: int) -> bool:
    """Some programs write 8 bits where 16 belong: read as they are, all colours would be black."""
    colours = tags.get(_COLOUR_MAP, ())
    return len(colours) == 3 << bits and max(colours) > 255
