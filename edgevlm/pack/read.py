"""A pack is checked from front to back, and only then written: signature, list, order, sizes and digests.

It is read twice, and its digests are compared both times, so that a file changed in between is noticed too.
"""

import hashlib
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import IO

from edgevlm_engines import size_text
from edgevlm_export.bundle_writer import Progress, new_folder

from edgevlm.errors import CommandError
from edgevlm.pack.index import (
    BUNDLE,
    INDEX,
    LARGEST_INDEX,
    PLANS,
    SIGNATURE,
    SIGNATURE_BYTES,
    Index,
    Packed,
    parse,
)
from edgevlm.pack.keys import is_signed

_READ_BYTES = 1 << 20


def unpack(file: Path, bundle: Path, key: Path, progress: Progress) -> Index:
    """The bundle becomes the folder `bundle`, all else folders beside it, none of which may exist.

    Raises `CommandError`, and `ExportError` for what cannot be written.
    """
    with _opened(file) as archive:
        index = _index(archive, file, key)
        _check_targets(index, bundle)
        progress.start(2 * index.size)
        for packed in index.files:
            _read(archive, packed, file, lambda block: progress.advance(len(block)))
        if archive.next() is not None:
            raise _damaged(file)
    with _opened(file) as archive:
        _index(archive, file, key)
        for folder, files in groupby(index.files, key=lambda packed: packed.folder):
            with new_folder(target(bundle, folder)) as written:
                for packed in files:
                    _write(archive, packed, file, written, progress)
    progress.finish()
    return index


def target(bundle: Path, folder: str) -> Path:
    """Where a folder of the pack goes: plans where the server looks for them by itself, wheels and image beside."""
    kind, _, key = folder.partition("/")
    if kind == BUNDLE:
        return bundle
    beside = bundle.with_name(f"{bundle.name}.{kind}")
    return beside / key if kind == PLANS else beside


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, "r:") as archive:
            yield archive
    except OSError as error:
        if error.filename not in (None, file, str(file)):
            raise
        raise CommandError(f"{file} cannot be read: {error.strerror or error}.") from None
    except tarfile.TarError:
        raise _damaged(file) from None


def _index(archive: tarfile.TarFile, file: Path, key: Path) -> Index:
    """The list, once its signature is right."""
    text = _small(archive, INDEX, LARGEST_INDEX, file)
    signature = _small(archive, SIGNATURE, SIGNATURE_BYTES, file)
    if not is_signed(key, text, signature):
        raise CommandError(f"{file} was not signed with the key that belongs to {key}, or was changed since.")
    return parse(text)


def _small(archive: tarfile.TarFile, name: str, most: int, file: Path) -> bytes:
    member = archive.next()
    if member is None or member.name != name or not member.isreg() or member.size > most:
        raise CommandError(f"{file} is not a file that 'edgevlm pack' made.")
    return _content(archive, member).read()


def _read(archive: tarfile.TarFile, packed: Packed, file: Path, take: Callable[[bytes], object]) -> None:
    """The next file of the pack, block by block. Raises `CommandError` if it is not the one that is listed."""
    member = archive.next()
    if member is None or member.name != packed.path or not member.isreg() or member.size != packed.size:
        raise _damaged(file)
    digest = hashlib.sha256()
    with _content(archive, member) as content:
        while block := content.read(_READ_BYTES):
            digest.update(block)
            take(block)
    if digest.hexdigest() != packed.sha256:
        raise _damaged(file)


def _write(archive: tarfile.TarFile, packed: Packed, file: Path, folder: Path, progress: Progress) -> None:
    with (folder / packed.name).open("xb") as written:

        def take(block: bytes) -> None:
            written.write(block)
            progress.advance(len(block))

        _read(archive, packed, file, take)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    assert content is not None, "a regular file has content"
    return content


def _check_targets(index: Index, bundle: Path) -> None:
    """Before hours of copying to a full disk, and before a part is written that the rest could not join."""
    for folder in {packed.folder for packed in index.files}:
        if (place := target(bundle, folder)).exists():
            raise CommandError(f"{place} already exists; remove it or choose another name.")
    existing = next(path for path in bundle.absolute().parents if path.exists())
    free = shutil.disk_usage(existing).free
    if free < index.size:
        raise CommandError(f"The pack holds {size_text(index.size)}, and {size_text(free)} are free in {existing}.")


def _damaged(file: Path) -> CommandError:
    return CommandError(f"{file} is damaged: it does not hold what its signed list says; copy it again.")
