"""As much of protobuf as an ONNX file takes: its fields, and one field written. Knows no messages."""

from collections.abc import Iterator
from typing import Any

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5


def fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an integer, or the bytes of anything longer."""
    for number, value, _ in encoded_fields(data):
        yield number, value


def encoded_fields(data: memoryview) -> Iterator[tuple[int, Any, memoryview]]:
    """The same, and all bytes that state the field."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        kind = tag & 7
        value: int | memoryview
        if kind == VARINT:
            value, at = _varint(data, at)
        else:
            size = {FIXED_64: 8, FIXED_32: 4}.get(kind, 0)
            if kind == BYTES:
                size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        yield tag >> 3, value, data[start:at]


def field(number: int, value: bytes) -> bytes:
    """A field that holds text or a message."""
    return _encoded(number << 3 | BYTES) + _encoded(len(value)) + value


def text(value: memoryview) -> str:
    return bytes(value).decode()


def varints(data: memoryview) -> list[int]:
    """Numbers that stand one behind the other."""
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _encoded(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
