"""A PNG without its metadata, of which there may be megabytes. Knows chunks, no pixels: the decode worker runs it."""

import struct
import zlib

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PROFILE = b"iCCP"
_ORIENTATIONS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_LONGEST = 512 * 1024


def without_metadata(data: bytes) -> bytes:
    """The same picture: profiles are ignored anyway, and of texts those alone are read that may say how it is turned.

    Pillow refuses pictures whose texts or profiles unpack to more than a megabyte.
    """
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if name != _PROFILE and (name not in _TEXTS or _may_turn(data, name, at + 8, length)):
            kept.append(data[at:end])
        at = end
    kept.append(data[at:])
    return b"".join(kept)


def _may_turn(data: bytes, name: bytes, at: int, length: int) -> bool:
    if length > _LONGEST or not data.startswith(_ORIENTATIONS, at):
        return False
    text = data[at : at + length].partition(b"\0")[2]
    if name == b"zTXt":
        return _unpacks_to_little(text[1:])
    # a mark of compression, its method, and two more texts
    return name == b"tEXt" or text[:1] == b"\0" or _unpacks_to_little(text[2:].split(b"\0", 2)[-1])


def _unpacks_to_little(packed: bytes) -> bool:
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, _LONGEST)
    except zlib.error:
        return False
    return unpacking.eof
