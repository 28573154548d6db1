"""Writes a bundle so that it is there whole or not at all, and says how far it is. Knows files, not models."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgevlm_engines import size_text
from edgevlm_engines.bundle import MANIFEST, file_digest
from edgevlm_engines.manifest import File, Manifest
from edgevlm_engines.sealed_json import sealed

from edgevlm_export.errors import ExportError
from edgevlm_export.unfinished import remove_left, unfinished_folder

SHORT = "a file took less than was written to it, as on a full disk"
"""numpy's own error for that has two numbers and no cause."""


class Progress:
    """Told how many bytes of work there are and as they are done. This one is silent."""

    def start(self, total: int) -> None: ...

    def advance(self, count: int) -> None: ...

    def finish(self) -> None: ...


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target`, for what is needed meanwhile. Raises `ExportError` if it cannot be made."""
    with ExitStack() as stack:
        with _writing(target.parent):
            remove_left(target.parent, target.name)
            folder = stack.enter_context(unfinished_folder(target))
        yield folder


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, renamed to `target` at the end, or removed if anything goes wrong on the way."""
    with _writing(target):
        remove_left(target.parent, target.name)
        check_absent(target)
        with unfinished_folder(target) as folder:
            yield folder
            _sync(folder)
            # it was private; a bundle is as readable as the umask allows
            folder.chmod(0o777 & ~_umask())
            folder.rename(target)
            _sync_folder(target.parent)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror or SHORT}.") from error


def check_absent(target: Path) -> None:
    """Raise `ExportError` where there is something already."""
    if target.exists():
        raise ExportError(f"{target} already exists; remove it or choose another name.")


def check_room(folder: Path, needed: int) -> None:
    """Raise `ExportError` now, and not after minutes of work, where `needed` bytes do not find room."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(
            f"The bundle needs about {size_text(needed)} in {folder.parent}, and {size_text(free)} are free there; "
            "make room, or choose another folder."
        )


def file_table(folder: Path) -> dict[str, File]:
    """Name, size in bytes and digest of every file written so far."""
    return {path.name: File(size=path.stat().st_size, sha256=file_digest(path)) for path in sorted(folder.iterdir())}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, readable for people and with its own digest."""
    (folder / MANIFEST).write_bytes(sealed(manifest.model_dump_json(indent=2)))


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
