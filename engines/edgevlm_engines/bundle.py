"""A bundle on disk: a folder with a manifest and the files that it vouches for. Knows nothing of runtimes."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines.errors import BundleError, Unreadable
from edgevlm_engines.manifest import FORMAT, File, Manifest, faults
from edgevlm_engines.regular_file import open_regular, read_regular
from edgevlm_engines.sealed_json import SealError, SealMissing, unsealed

MANIFEST = "manifest.json"
VISION = "vision.onnx"
DECODER = "decoder.onnx"
EMBEDDING = "embedding.npy"
TOKENIZER = "tokenizer.model"
VISION_WEIGHTS = "vision.data"
DECODER_WEIGHTS = "decoder.data"
REQUIRED = (VISION, VISION_WEIGHTS, DECODER, DECODER_WEIGHTS, EMBEDDING, TOKENIZER)
"""The weights are files that a graph names: unlisted, they would be loaded without having been verified."""

_READ_BYTES = 1 << 20
_MAX_MANIFEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose files had the sizes and digests of its manifest when it was opened."""

    folder: Path
    manifest: Manifest

    def path(self, name: str) -> Path:
        """The path of a file that the manifest lists."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder / MANIFEST} lists no file '{name}'.")
        return self.folder / name


def open_bundle(folder: Path, progress: Callable[[int], None] = lambda count: None) -> Bundle:
    """Read the manifest and verify every file before any of them is parsed.

    `progress` is told the number of bytes just verified. Raises `BundleError` with one sentence.
    """
    # all sizes first: a truncated copy is refused at once, not after hashing gigabytes
    manifest = check_sizes(folder)
    for name, expected in manifest.files.items():
        actual = file_digest(folder / name, progress)
        if actual != expected.sha256:
            raise BundleError(
                f"{folder / name} is damaged: its SHA-256 is {actual}, the manifest says {expected.sha256}; "
                "copy or export the bundle again."
            )
    return Bundle(folder, manifest)


def check_sizes(folder: Path) -> Manifest:
    """Read the manifest, and of the files no more than their sizes. Raises `BundleError` with one sentence."""
    manifest = read_manifest(folder)
    for name in REQUIRED:
        if name not in manifest.files:
            raise BundleError(f"{folder / MANIFEST} lists no file '{name}'.")
    for name, expected in manifest.files.items():
        _check_size(folder, name, expected)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Check `manifest.json` alone, its own digest before anything else. Raises `BundleError` with one sentence."""
    path = folder / MANIFEST
    try:
        text = read_regular(path, _MAX_MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        fault = f"it has no {MANIFEST}" if folder.exists() else "there is no such folder"
        raise BundleError(f"{folder} is not a bundle: {fault}.") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
    try:
        content = unsealed(text)
    except SealMissing as error:
        raise BundleError(f"{path} {_other_format(text) or error}; export the model again.") from None
    except SealError as error:
        raise BundleError(f"{path} {error}; copy or export the bundle again.") from None
    if (other := _other_format(content)) is not None:
        raise BundleError(f"{path} {other}; export the model again.")
    with faults(lambda fault: BundleError(f"{path} cannot be used (format {FORMAT} is expected): {fault}.")):
        return Manifest.model_validate_json(content)


def _other_format(text: bytes) -> str | None:
    """What another version has written, as the end of a sentence; `None` if it has this format, or none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"format": int(made_in)} if made_in != FORMAT:
            return f"has format {made_in}, and this version reads {FORMAT}"
    return None


def file_digest(path: Path, progress: Callable[[int], None] = lambda count: None) -> str:
    """SHA-256 of a file in hexadecimal, read once from front to back."""
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
                progress(len(block))
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
    return digest.hexdigest()


def _check_size(folder: Path, name: str, expected: File) -> None:
    if Path(name).name != name or "\\" in name or "\0" in name:
        raise BundleError(f"{folder / MANIFEST} names a file outside of the bundle.")
    try:
        size = (folder / name).stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{folder / name} is missing; copy or export the bundle again.") from None
    except OSError as error:
        raise Unreadable(f"{folder / name} cannot be read: {error.strerror}.") from None
    if size != expected.size:
        raise BundleError(
            f"{folder / name} is damaged: it has {size} bytes, the manifest says {expected.size}; "
            "copy or export the bundle again."
        )
