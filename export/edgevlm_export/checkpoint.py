"""A folder of weights: which tensors it holds, which were used, which were left out and why. Knows no model.

A model's builder takes every tensor exactly once or skips it with a reason; `finish` refuses the rest. So a wrong
prefix, a tensor of another model or a forgotten bias is an error and never a silent difference.
"""

import difflib
import fnmatch
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .config import read_json
from .errors import CheckpointError
from .pickle_reader import read_torch_file
from .safetensors_reader import read_safetensors

_SINGLE_AND_INDEX = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
_STALE = (
    ("*rotary_emb.inv_freq", "stored in bfloat16 it is too coarse; computed from rope_theta"),
    ("*embeddings.position_ids", "a constant: 0, 1, 2, ..."),
)
_TEXT_TOWER = ("text_model.*", "text_projection.weight", "visual_projection.weight", "logit_scale")
_DIGEST_BLOCK = 1 << 20


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
        self.files = tuple(sorted(files, key=lambda file: file.name))
        self.skipped: dict[str, str] = {}  # tensor name -> reason
        self._sources = sources
        self._taken: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors, used or not, sorted."""
        return tuple(sorted(self._sources))

    def __contains__(self, name: str) -> bool:
        return name in self._sources

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
            raise CheckpointError(
                f"{self.folder}: tensor {name!r} is needed but was skipped: {self.skipped[name]}."
            )
        if name in self._taken:
            raise CheckpointError(f"{self.folder}: tensor {name!r} is needed twice.")
        if source.shape != tuple(shape):
            raise CheckpointError(
                f"{self.folder}: tensor {name!r} has shape {source.shape}, but the configuration needs {tuple(shape)}."
            )
        self._taken.add(name)
        return source

    def skip(self, pattern: str, reason: str) -> int:
        """Leaves out all tensors not yet used whose names match a shell pattern; returns how many."""
        names = [
            n
            for n in fnmatch.filter(self._sources, pattern)
            if n not in self._taken and n not in self.skipped
        ]
        self.skipped.update(dict.fromkeys(names, reason))
        return len(names)

    def finish(self) -> None:
        """Raises CheckpointError, naming a few, if tensors were neither used nor skipped."""
        left = sorted(self._sources.keys() - self._taken - self.skipped.keys())
        if left:
            shown = ", ".join(map(repr, left[:5])) + (", ..." if len(left) > 5 else "")
            raise CheckpointError(
                f"{self.folder} holds {len(left)} tensors that this model does not use: {shown}."
            )

    def source_digest(self) -> str:
        """SHA-256 (hex) of config.json, the weights and their index, one after another sorted by name.

        The same as `cat FILES | sha256sum` prints.
        """
        digest = hashlib.sha256()
        for path in self.files:
            try:
                with path.open("rb") as file:
                    while block := file.read(_DIGEST_BLOCK):
                        digest.update(block)
            except OSError as error:
                raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
        return digest.hexdigest()


def open_checkpoint(folder: Path) -> Checkpoint:
    """The weights in a folder in Hugging Face's layout; safetensors are preferred to pickles.

    Tensors that are constants stored by mistake are skipped at once. Raises CheckpointError if there are no weights,
    a shard is missing, a tensor stands in two shards, or a file is damaged.
    """
    files, weights = _find(folder)
    sources: dict[str, TensorSource] = {}
    for path in weights:
        for source in _read(path):
            if source.name in sources:
                raise CheckpointError(f"{folder}: tensor {source.name!r} stands in two files.")
            sources[source.name] = source
    config = folder / "config.json"
    checkpoint = Checkpoint(folder, [*files, *([config] if config.is_file() else [])], sources)
    for pattern, reason in _STALE:
        checkpoint.skip(pattern, reason)
    return checkpoint


def vision_checkpoint(folder: Path) -> Checkpoint:
    """The vision tower of a CLIP folder (names begin with `vision_model.`); CLIP's text half is skipped."""
    checkpoint = open_checkpoint(folder)
    for pattern in _TEXT_TOWER:
        checkpoint.skip(pattern, "only CLIP's vision tower is used")
    return checkpoint


def _find(folder: Path) -> tuple[list[Path], list[Path]]:
    """All files that count as the checkpoint, and those among them that hold tensors."""
    for single, index in _SINGLE_AND_INDEX:
        if (folder / single).is_file():
            return [folder / single], [folder / single]
        if (folder / index).is_file():
            shards = _shards(folder / index)
            return [folder / index, *shards], shards
    raise CheckpointError(
        f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin, whole or in shards."
    )


def _shards(index: Path) -> list[Path]:
    """The files that an index names. Raises CheckpointError if one is missing or lies outside the folder."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: weight_map is missing or empty.")
    suffix = ".safetensors" if index.name.startswith("model.safetensors") else ".bin"
    shards = []
    for name in sorted({str(place) for place in places.values()}):
        if name != Path(name).name or "\\" in name or not name.endswith(suffix):
            raise CheckpointError(
                f"{index} names {name[:200]!r}, which is not a {suffix} file in this folder."
            )
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent / name} is missing, though {index.name} names it.")
        shards.append(index.parent / name)
    return shards


def _read(path: Path) -> Iterable[TensorSource]:
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch_file(path)


def as_float16(source: TensorSource) -> np.ndarray[Any, np.dtype[np.float16]]:
    """A tensor's values rounded to float16, as upstream loads them, whatever they are stored in.

    Raises CheckpointError, naming the tensor, if it does not hold real numbers or a value does not fit.
    """
    stored = source.read()
    if stored.dtype.kind in "iub":
        raise CheckpointError(f"Tensor {source.name!r} holds {stored.dtype} where real numbers are needed.")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        half = stored.astype(np.float16)
    if not np.isfinite(half).all():
        why = (
            "beyond float16's range"
            if np.isfinite(stored[~np.isfinite(half)]).any()
            else "that is not finite"
        )
        raise CheckpointError(f"Tensor {source.name!r} holds a value {why}.")
    return half
