"""An adapter's folder: the low-rank updates and the whole tensors in it, by the base's names. Knows no base.

PEFT puts `base_model.model.` before the names; upstream saves what was trained without LoRA (the projector) in a
second file, under the same names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgevlm_export.checkpoint.checkpoint import TensorSource, read_tensors
from edgevlm_export.checkpoint.name import model_name
from edgevlm_export.errors import CheckpointError
from edgevlm_export.lora.config import CONFIG, LoraConfig, load_lora_config

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
WHOLE = "non_lora_trainables.bin"
TOWER = "model.vision_tower."
_UPDATE = re.compile(r"(.+)\.lora_([AB])(?:\.default)?\.weight")
_PREFIXES = ("base_model.model.", "model.model.")


@dataclass(frozen=True)
class Update:
    """What is added to a linear layer's weight: `factor * up @ down`, `[outputs, rank] @ [rank, inputs]`."""

    down: TensorSource
    up: TensorSource
    factor: float


@dataclass(frozen=True)
class Adapter:
    """`updates` by the name of the weight they change; `whole` tensors stand in place of those of their names."""

    folder: Path
    files: tuple[Path, ...]
    config: LoraConfig
    scale: float
    updates: dict[str, Update]
    whole: dict[str, TensorSource]

    @property
    def name(self) -> str:
        """That of its folder or hub repository, with the scale if it has one."""
        name = model_name(self.folder)
        return name if self.scale == 1 else f"{name}:{self.scale:g}"


def open_adapter(folder: Path, scale: float) -> Adapter:
    """What the folder holds for language model and projector; `scale` multiplies all of it.

    Tensors of the vision tower are left out, as upstream's own merge leaves them out. Raises `ExportError` for a
    file that is missing or damaged, for an unsupported variant, and for updates that would change the tower.
    """
    config = load_lora_config(folder)
    files = _files(folder)
    pairs: dict[str, dict[str, TensorSource]] = {}
    whole: dict[str, TensorSource] = {}
    for source in (source for file in files for source in read_tensors(file)):
        if match := _UPDATE.fullmatch(source.name):
            pairs.setdefault(base_name(match[1]), {})[match[2]] = source
        elif "lora_" in source.name:
            raise CheckpointError(f"{folder}: tensor {source.name!r} is of a variant of LoRA that is not supported.")
        elif not base_name(source.name).startswith(TOWER):
            whole[base_name(source.name)] = source
    updates = dict(_updates(folder, config, scale, pairs))
    if not updates and not whole:
        raise CheckpointError(f"{folder} holds no update of language model or projector.")
    others = tuple(path for path in (folder / CONFIG, folder / "config.json") if path.is_file())
    return Adapter(folder, files + others, config, scale, updates, whole)


def base_name(stored: str) -> str:
    """A tensor's name in the base."""
    for prefix in _PREFIXES:
        if stored.startswith(prefix):
            return stored.removeprefix(prefix if prefix.startswith("base") else "model.")
    return stored


def _files(folder: Path) -> tuple[Path, ...]:
    """The files that hold tensors."""
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise CheckpointError(f"{folder} holds neither {WEIGHTS[0]} nor {WEIGHTS[1]}.")
    return (weights, folder / WHOLE) if (folder / WHOLE).is_file() else (weights,)


def _updates(
    folder: Path, config: LoraConfig, scale: float, pairs: dict[str, dict[str, TensorSource]]
) -> Iterator[tuple[str, Update]]:
    for module, pair in pairs.items():
        if pair.keys() != {"A", "B"}:
            raise CheckpointError(
                f"{folder}: {module!r} has lora_{''.join(pair)} alone; lora_A and lora_B are needed."
            )
        down, up = pair["A"], pair["B"]
        if len(down.shape) != 2 or len(up.shape) != 2:
            raise CheckpointError(f"{folder}: {module!r} is not a linear layer; only those can be adapted.")
        if not down.shape[0] == up.shape[1] == config.rank_of(module):
            raise CheckpointError(
                f"{folder}: {module!r} has lora_A {down.shape} and lora_B {up.shape}, but {CONFIG} says rank "
                f"{config.rank_of(module)}."
            )
        if not module.startswith(TOWER):
            yield f"{module}.weight", Update(down, up, scale * config.factor(module))
        elif up.read().any():
            raise CheckpointError(f"{folder} changes the vision tower ({module!r}), which upstream does not train.")
