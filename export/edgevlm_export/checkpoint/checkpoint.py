"""A folder of weights: which tensors it holds, which were used, which were left out and why. Knows no model.

A model's builder takes every tensor exactly once or skips it with a reason; `finish` refuses the rest. So a
wrong prefix, a tensor of another model or a forgotten bias is an error and never a silent difference.
"""

import difflib
import fnmatch
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from edgevlm_engines.regular_file import open_regular

from edgevlm_export.checkpoint.json_keys import read_json
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.checkpoint.safetensors_reader import read_safetensors
from edgevlm_export.errors import CheckpointError, ConfigError

WEIGHTS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""In the order of preference: whole, or the index of shards."""
_STALE = (
    ("*rotary_emb.inv_freq", "stored in bfloat16 it is too coarse; computed from rope_theta"),
    ("*embeddings.position_ids", "a constant: 0, 1, 2, ..."),
)
_TEXT_TOWER = ("text_model.*", "text_projection.weight", "visual_projection.weight", "logit_scale")
_DIGEST_BLOCK = 1 << 20
_MAGNITUDE, _INFINITE = 0x7FFF, 0x7C00  # a float16's bits without the sign; from infinity on they are no number
LFS_POINTER = b"version https://git-lfs"


class TensorSource(Protocol):
    """One stored tensor; its values are read from the file when asked and not kept."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The values as stored, of `shape` and `dtype`, read-only where they are mapped."""


class Checkpoint:
    """The tensors of one folder and the account of their use."""

    def __init__(self, folder: Path, files: Iterable[Path], sources: dict[str, TensorSource]) -> None:
        self.folder = folder
        self.files = tuple(sorted(files, key=lambda file: file.name))  # config.json, weights and their index
        self.skipped: dict[str, str] = {}  # tensor name -> reason
        self._sources = sources
        self._taken: set[str] = set()

    def take(self, name: str, shape: tuple[int, ...]) -> TensorSource:
        """The tensor of that name, now counted as used.

        Raises CheckpointError if it is absent, has another shape, was skipped, or was taken before.
        """
        source = self._sources.get(name)
        if source is None:
            near = difflib.get_close_matches(name, self._sources, n=1, cutoff=0.0)
            hint = f"; the nearest name there is {near[0]!r}" if near else ""
            raise CheckpointError(f"{self.folder}: tensor {name!r} is missing{hint}.")
        if name in self.skipped:
            raise CheckpointError(f"{self.folder}: tensor {name!r} is needed but was skipped: {self.skipped[name]}.")
        if name in self._taken:
            raise CheckpointError(f"{self.folder}: tensor {name!r} is needed twice.")
        if source.shape != tuple(shape):
            shapes = f"has shape {source.shape}, but the configuration needs {tuple(shape)}"
            raise CheckpointError(f"{self.folder}: tensor {name!r} {shapes}.")
        self._taken.add(name)
        return source

    def names(self) -> Collection[str]:
        """Of all tensors, those that were skipped too."""
        return self._sources.keys()

    def stored(self, name: str) -> TensorSource:
        """The tensor of that name, not counted as used."""
        return self._sources[name]

    def put(self, name: str, source: TensorSource) -> None:
        """From now on, that name stands for `source`: for changed values of a tensor, or for one more."""
        self._sources[name] = source

    def skip(self, pattern: str, reason: str) -> None:
        """Leaves out all tensors not yet used whose names match a shell pattern."""
        names = [n for n in fnmatch.filter(self._sources, pattern) if n not in self._taken and n not in self.skipped]
        self.skipped.update(dict.fromkeys(names, reason))

    def finish(self) -> None:
        """Raises CheckpointError, naming a few, if tensors were neither used nor skipped."""
        left = sorted(self._sources.keys() - self._taken - self.skipped.keys())
        if left:
            shown = ", ".join(map(repr, left[:5])) + (", ..." if len(left) > 5 else "")
            raise CheckpointError(f"{self.folder} holds {len(left)} tensors that this model does not use: {shown}.")


def files_digest(files: Iterable[Path], advance: Callable[[int], None] | None = None) -> str:
    """SHA-256 (hex) of files one after another, as `cat FILES | sha256sum` prints it.

    `advance` is told the bytes of each block. Raises CheckpointError if a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        for block in _blocks(path):
            digest.update(block)
            if advance:
                advance(len(block))
    return digest.hexdigest()


def open_checkpoint(folder: Path) -> Checkpoint:
    """The weights in a folder in Hugging Face's layout; safetensors are preferred to pickles.

    Tensors that are constants stored by mistake are skipped at once. Raises CheckpointError if there are no
    weights, a shard or a tensor of the index is missing, a tensor stands in two shards, or a file is damaged.
    """
    weights, index = _find(folder)
    sources: dict[str, TensorSource] = {}
    for path in weights:
        for source in read_tensors(path):
            if source.name in sources:
                raise CheckpointError(f"{folder}: tensor {source.name!r} stands in two files.")
            sources[source.name] = source
    if index:
        _check_promises(index, sources)
    others = [path for path in (index, folder / "config.json") if path and path.is_file()]
    checkpoint = Checkpoint(folder, weights + others, sources)
    for pattern, reason in _STALE:
        checkpoint.skip(pattern, reason)
    return checkpoint


def vision_checkpoint(folder: Path) -> Checkpoint:
    """The vision tower of a CLIP folder (names begin with `vision_model.`); CLIP's text half is skipped.

    Raises CheckpointError as `open_checkpoint` does.
    """
    checkpoint = open_checkpoint(folder)
    for pattern in _TEXT_TOWER:
        checkpoint.skip(pattern, "only CLIP's vision tower is used")
    return checkpoint


def as_float16(source: TensorSource) -> np.ndarray[Any, np.dtype[np.float16]]:
    """A tensor's values rounded to float16, as upstream loads them, whatever they are stored in; may be read-only.

    Raises CheckpointError, naming the tensor, if it does not hold real numbers or a value does not fit.
    """
    stored = _real(source)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        half = stored.astype(np.float16, copy=False)
    # the bits tell ten times as fast as numpy's isfinite, which works on single values
    if half.size and (half.view(np.uint16) & _MAGNITUDE).max() >= _INFINITE:
        fault = "beyond float16's range" if np.isfinite(stored[~np.isfinite(half)]).any() else "that is not finite"
        raise CheckpointError(f"Tensor {source.name!r} holds a value {fault}.")
    return half


def as_float32(source: TensorSource) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A copy of a tensor's values to compute with. Raises CheckpointError if it does not hold real numbers."""
    return _real(source).astype(np.float32)


def _real(source: TensorSource) -> np.ndarray[Any, np.dtype[Any]]:
    stored = source.read()
    if stored.dtype.kind in "iub":
        raise CheckpointError(f"Tensor {source.name!r} holds {stored.dtype} where real numbers are needed.")
    return stored


def _find(folder: Path) -> tuple[list[Path], Path | None]:
    """The files that hold tensors, and the index if they are shards."""
    for single, index in WEIGHTS:
        if (folder / single).is_file():
            return [folder / single], None
        if (folder / index).is_file():
            return _shards(folder / index), folder / index
    for single, index in WEIGHTS:
        stem, _, suffix = single.partition(".")
        if shards := sorted(folder.glob(f"{stem}-*-of-*.{suffix}")):
            raise CheckpointError(
                f"{folder} holds {shards[0].name} but not {index}, which says what is in which file."
            )
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder} holds a LoRA adapter, not a model: export its base with --lora {folder}.")
    wanted = "neither model.safetensors nor pytorch_model.bin, whole or in shards"
    raise CheckpointError(f"{folder} holds no weights: {wanted}.")


def _shards(index: Path) -> list[Path]:
    """The files that an index names. Raises CheckpointError if one is missing or lies outside the folder."""
    names = {str(place) for place in _weight_map(index).values()}
    suffix = ".safetensors" if index.name.startswith("model.safetensors") else ".bin"
    for name in sorted(names):
        if name != Path(name).name or "\\" in name or not name.endswith(suffix):
            raise CheckpointError(f"{index} names {name[:200]!r}, not a {suffix} file of its own folder.")
        if not os.path.isfile(index.parent / name):  # Path.is_file raises if a name is too long
            raise CheckpointError(f"{index.parent} lacks the file {name[:200]!r} that {index.name} names.")
    return [index.parent / name for name in sorted(names)]


def _weight_map(index: Path) -> dict[str, object]:
    try:
        places = read_json(index).get("weight_map")
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: weight_map is missing or empty.")
    return places


def _check_promises(index: Path, sources: dict[str, TensorSource]) -> None:
    absent = sorted(_weight_map(index).keys() - sources.keys())
    if absent:
        raise CheckpointError(f"{index} names tensor {absent[0][:200]!r}, but no file holds it.")


def read_tensors(path: Path) -> Iterable[TensorSource]:
    """The tensors of a file, by its suffix. Raises CheckpointError if it is damaged or cannot be read."""
    try:
        with open_regular(path) as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
    if start == LFS_POINTER:
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights; `git lfs pull` fetches them.")
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch_file(path)


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with open_regular(path) as file:
            while block := file.read(_DIGEST_BLOCK):
                yield block
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
