"""A bundle and what belongs to it become one signed file. Knows the order of work; nothing is left if it fails."""

import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from edgevlm_engines import open_bundle
from edgevlm_engines.bundle import MANIFEST, file_digest
from edgevlm_engines.manifest import File
from edgevlm_engines.plan_cache import SIDECAR
from edgevlm_export.bundle_writer import Progress
from edgevlm_server.version import version

from edgevlm.errors import CommandError
from edgevlm.pack.index import BUNDLE, IMAGE, INDEX, PLANS, SIGNATURE, WHEELS, Index, Packed, is_packable
from edgevlm.pack.keys import secret_key


class Contents(NamedTuple):
    """What goes into a pack: a bundle, and if asked a folder of plans, one of wheels, and an image's file."""

    bundle: Path
    plans: Path | None = None
    wheels: Path | None = None
    image: Path | None = None


def pack(contents: Contents, file: Path, key: Path, progress: Progress) -> Index:
    """Write `file`, which must not exist. Raises `CommandError`, and `BundleError` for a damaged bundle."""
    secret = secret_key(key)
    with _new_file(file) as target, tarfile.open(fileobj=target, mode="w") as archive:
        manifest = open_bundle(contents.bundle).manifest
        sources = dict(_sources(contents, [*manifest.files, MANIFEST]))
        _check(sources)
        index = Index(manifest.model, f"edgevlm {version()}", tuple(_listed(sources, manifest.files)))
        signature = secret.sign(index.text())
        progress.start(index.size)
        _add(archive, INDEX, io.BytesIO(index.text()), len(index.text()))
        _add(archive, SIGNATURE, io.BytesIO(signature), len(signature))
        for packed in index.files:
            with sources[packed.path].open("rb") as content:
                _add(archive, packed.path, content, packed.size)
            progress.advance(packed.size)
    progress.finish()
    return index


def _check(sources: Mapping[str, Path]) -> None:
    for path, source in sources.items():
        if not is_packable(path) or not source.is_file():
            raise CommandError(f"{source} cannot be packed: it must be a file with a plain name.")


def _listed(sources: Mapping[str, Path], checked: Mapping[str, File]) -> Iterator[Packed]:
    """Sizes and digests; of the bundle's files those that they were `checked` with when it was opened."""
    for path, source in sources.items():
        folder, _, name = path.rpartition("/")
        if folder == BUNDLE and name in checked:
            yield Packed(path, checked[name].size, checked[name].sha256)
        else:
            yield Packed(path, source.stat().st_size, file_digest(source))


def _sources(contents: Contents, bundle_files: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Path in the pack and file on disk, in the pack's order."""
    if contents.image is not None:
        yield f"{IMAGE}/{contents.image.name}", contents.image
    if contents.wheels is not None:
        wheels = sorted(contents.wheels.glob("*.whl"))
        if not wheels:
            raise CommandError(f"{contents.wheels} holds no wheels.")
        yield from ((f"{WHEELS}/{path.name}", path) for path in wheels)
    if contents.plans is not None:
        plans = sorted(contents.plans.glob(f"*/{SIDECAR}"))
        if not plans:
            raise CommandError(f"{contents.plans} holds no TensorRT plans.")
        for sidecar in plans:
            folder = sidecar.parent
            yield from ((f"{PLANS}/{folder.name}/{path.name}", path) for path in sorted(folder.iterdir()))
    yield from ((f"{BUNDLE}/{name}", contents.bundle / name) for name in bundle_files)


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    """Without owners and times: the same contents make the same file."""
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, content)


@contextmanager
def _new_file(path: Path) -> Iterator[io.BufferedWriter]:
    """Renamed to `path` at the end, or removed."""
    part = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.exists():
            raise CommandError(f"{path} already exists; remove it or choose another name.")
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}.") from None
    finally:
        part.unlink(missing_ok=True)
