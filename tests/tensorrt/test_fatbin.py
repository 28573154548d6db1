"""Code for other GPUs is taken out of a library, on a library of two containers that is written here."""

import struct
from pathlib import Path

from tests.gpu.fatbin import MAGIC, prune

NAMES = b"\0.nv_fatbin\0.shstrtab\0"


def entry(compute: int, code: bytes) -> bytes:
    return (
        struct.pack("<HHIQ", 2, 0, 64, len(code)).ljust(28, b"\0")
        + struct.pack("<I", compute).ljust(36, b"\0")
        + code
    )


def container(*entries: bytes) -> bytes:
    content = b"".join(entries)
    return struct.pack("<IHHQ", MAGIC, 1, 16, len(content)) + content


def library(code: bytes) -> bytes:
    """A 64-bit ELF file with the two sections that matter."""
    table = 64 + len(code) + len(NAMES)
    head = b"\x7fELF\2\1\1".ljust(0x28, b"\0") + struct.pack("<QIHHHHHH", table, 0, 64, 0, 0, 64, 3, 2)
    sections = [(0, 0, 0), (1, 64, len(code)), (12, 64 + len(code), len(NAMES))]
    headers = [
        struct.pack("<IIQQQQ", name, 1, 0, 0, offset, size).ljust(64, b"\0") for name, offset, size in sections
    ]
    return head + code + NAMES + b"".join(headers)


def test_only_code_for_the_chosen_gpus_is_left(tmp_path: Path) -> None:
    def whole(other: bytes) -> bytes:
        first = container(entry(80, other), entry(90, b"B" * 24))
        return library(first + bytes(16) + container(entry(90, b"C" * 16), entry(120, other[:8])))

    path = tmp_path / "lib.so"
    path.write_bytes(whole(b"A" * 40))
    assert prune(path, [90]) == {80: 40, 90: 40, 120: 8}
    assert path.read_bytes() == whole(bytes(40))
