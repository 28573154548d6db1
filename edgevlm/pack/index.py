"""What a pack holds: the list in front of its files, which is what gets signed. Reads and writes no files.

A pack is a tar file without compression: `pack.json`, its signature `pack.sig`, and the files in the list's order.
"""

import json
import re
from typing import NamedTuple

from edgevlm.errors import CommandError

FORMAT = 1
INDEX, SIGNATURE = "pack.json", "pack.sig"
LARGEST_INDEX = 2**22
SIGNATURE_BYTES = 64

BUNDLE, PLANS, WHEELS, IMAGE = "bundle", "plans", "wheels", "image"
_PATH = re.compile(rf"(?:{BUNDLE}|{WHEELS}|{IMAGE}|{PLANS}/[0-9a-f]{{24}})/[A-Za-z0-9_][A-Za-z0-9._+-]{{0,199}}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Packed(NamedTuple):
    """One file: `path` is `FOLDER/NAME`."""

    path: str
    size: int
    sha256: str

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Index(NamedTuple):
    """The bundle's files come last: where the bundle is, all of the pack is."""

    model: str
    made_by: str
    files: tuple[Packed, ...]

    @property
    def size(self) -> int:
        """In bytes, of all files."""
        return sum(file.size for file in self.files)

    def text(self) -> bytes:
        """The content of `pack.json`."""
        files = [file._asdict() for file in self.files]
        content = {"format": FORMAT, "model": self.model, "made_by": self.made_by, "files": files}
        return json.dumps(content, indent=1).encode()


def is_packable(path: str) -> bool:
    """Whether a file may be called so in a pack: nothing that leads out of its folder, nothing hidden."""
    return bool(_PATH.fullmatch(path))


def parse(text: bytes) -> Index:
    """Of a list whose signature was right. Raises `CommandError`: another version may have made it."""
    match json.loads(text):
        case {"format": int(made_in)} if made_in != FORMAT:
            raise CommandError(f"The pack has format {made_in}, and this version reads {FORMAT}.")
        case {"model": str(model), "made_by": str(made_by), "files": [*entries]}:
            return Index(model, made_by, tuple(_packed(entry) for entry in entries))
    raise _unknown()


def _packed(entry: object) -> Packed:
    match entry:
        case {"path": str(path), "size": int(size), "sha256": str(sha256)} if (
            is_packable(path) and size >= 0 and _DIGEST.fullmatch(sha256)
        ):
            return Packed(path, size, sha256)
    raise _unknown()


def _unknown() -> CommandError:
    return CommandError("The pack's list of files is not one that edgevlm writes.")
