"""Puts an adapter into the weights of its base: each tensor is merged when it is read, and not kept.

In float32, whatever either is stored in; a float32 weight is then rounded to float16 once, as all weights are.
"""

import difflib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edgevlm_export.checkpoint.changed import Changed, Floats
from edgevlm_export.checkpoint.checkpoint import Checkpoint, TensorSource, as_float32
from edgevlm_export.checkpoint.json_keys import read_json
from edgevlm_export.errors import CheckpointError, ConfigError
from edgevlm_export.lora.adapter import Adapter, Update

PROJECTOR = "model.mm_projector."
SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"),
    "mm_projector_type",
)
"""What the configurations of an adapter and of its base must agree on, where both state it."""

_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_SLAB = 1 << 22  # weights that are worked on at once


def merge(checkpoint: Checkpoint, adapter: Adapter) -> None:
    """Change `checkpoint` so that its tensors are read with the adapter in them.

    Raises `CheckpointError` or `ConfigError` for an adapter of another base.
    """
    _check_sizes(checkpoint.folder, adapter.folder)
    _check_layers(checkpoint, adapter)
    new_projector = not any(name.startswith(PROJECTOR) for name in checkpoint.names())
    for name, update in adapter.updates.items():
        base = _base(checkpoint, adapter, name, (update.up.shape[0], update.down.shape[1]))
        checkpoint.put(name, Changed(base, partial(_updated, update)))
    for name, source in adapter.whole.items():
        if new_projector and name.startswith(PROJECTOR) and adapter.scale == 1:
            checkpoint.put(name, source)
        else:
            base = _base(checkpoint, adapter, name, source.shape)
            checkpoint.put(
                name, source if adapter.scale == 1 else Changed(base, partial(_between, source, adapter.scale))
            )


def config_folder(checkpoint: Path, adapters: Sequence[Adapter]) -> Path:
    """Where the model's `config.json` is: an adapter's for a base that is a plain language model, as V1's is."""
    if read_json(checkpoint / "config.json").get("model_type") != "llama":
        return checkpoint
    folders = (adapter.folder for adapter in adapters if (adapter.folder / "config.json").is_file())
    return next(folders, checkpoint)


def _updated(update: Update, values: Floats) -> Floats:
    down, up = as_float32(update.down), as_float32(update.up)
    step = max(1, _SLAB // values.shape[1])
    for first in range(0, len(values), step):
        rows = slice(first, first + step)
        values[rows] += np.float32(update.factor) * (up[rows] @ down)
    return values


def _between(other: TensorSource, share: float, values: Floats) -> Floats:
    """A point on the way to the other tensor, `share` of it, or beyond."""
    return values * np.float32(1 - share) + as_float32(other) * np.float32(share)


def _check_sizes(base: Path, folder: Path) -> None:
    if not (folder / "config.json").is_file():
        return
    ours, theirs = read_json(base / "config.json"), read_json(folder / "config.json")
    for key in SIZES:
        if key in ours and key in theirs and ours[key] != theirs[key]:
            raise ConfigError(
                f"{folder} was trained on another base: {key} is {theirs[key]!r} there and {ours[key]!r} in {base}."
            )


def _check_layers(checkpoint: Checkpoint, adapter: Adapter) -> None:
    """A base with more layers than the adapter was made for has all tensors that the adapter names."""
    stored = {match[1] for match in map(_LAYER.fullmatch, checkpoint.names()) if match}
    adapted: dict[str, set[str]] = {}
    for match in filter(None, map(_LAYER.fullmatch, adapter.updates)):
        adapted.setdefault(match[2], set()).add(match[1])
    for part, layers in adapted.items():
        if adapter.config.all_layers and stored - layers:
            missing = min(stored - layers, key=int)
            raise CheckpointError(
                f"{adapter.folder} has no update of {part!r} in layer {missing}, but has one in other layers; "
                f"{checkpoint.folder} has {len(stored)} layers and may be another base."
            )


def _base(checkpoint: Checkpoint, adapter: Adapter, name: str, shape: tuple[int, ...]) -> TensorSource:
    """The tensor that is to be changed."""
    if name not in checkpoint.names():
        near = difflib.get_close_matches(name, checkpoint.names(), n=1, cutoff=0.0)
        hint = f"; the nearest name there is {near[0]!r}" if near else ""
        raise CheckpointError(f"{adapter.folder} changes {name!r}, which {checkpoint.folder} does not hold{hint}.")
    base = checkpoint.stored(name)
    if base.shape != shape:
        raise CheckpointError(
            f"{adapter.folder} was trained on another base: its {name!r} has shape {shape}, that of "
            f"{checkpoint.folder} has {base.shape}."
        )
    return base
