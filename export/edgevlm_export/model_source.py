"""Where a model comes from: checkpoint, vision tower and adapters, opened together. Knows no graphs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines.manifest import Source

from edgevlm_export.checkpoint.checkpoint import Checkpoint, files_digest, open_checkpoint, vision_checkpoint
from edgevlm_export.checkpoint.config import ModelConfig, load_config
from edgevlm_export.checkpoint.name import model_name
from edgevlm_export.lora.adapter import Adapter, open_adapter
from edgevlm_export.lora.merge import config_folder, merge

VISION_TOWER = "model.vision_tower.vision_tower."

Lora = tuple[Path, float]
"""An adapter's folder, and the scale that it is merged with."""


@dataclass(frozen=True)
class ModelSource:
    """An opened model. `tower` is `weights` itself where the checkpoint's own tower counts."""

    config: ModelConfig
    weights: Checkpoint
    tower: Checkpoint
    adapters: tuple[Adapter, ...]

    def checkpoints(self) -> list[Checkpoint]:
        """V1 has two, V2 one."""
        return [self.weights] if self.tower is self.weights else [self.weights, self.tower]

    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for _, files in self._folders() for path in files)

    def digests(self, advance: Callable[[int], None]) -> tuple[Source, ...]:
        """What the manifest says of each folder; `advance` is told the bytes that were read."""
        return tuple(Source(name=name, sha256=files_digest(files, advance)) for name, files in self._folders())

    def _folders(self) -> Iterator[tuple[str, tuple[Path, ...]]]:
        for checkpoint in self.checkpoints():
            yield model_name(checkpoint.folder), checkpoint.files
        for adapter in self.adapters:
            yield adapter.name, adapter.files


def open_model(checkpoint: Path, vision_tower: Path | None, lora: Sequence[Lora] = ()) -> ModelSource:
    """Open a published checkpoint, with the adapters merged one after another as its tensors are read.

    `vision_tower` is the CLIP folder: V1 takes weights and shape from it, V2 only the shape (without it, that of
    openai/clip-vit-large-patch14-336). Raises `ExportError`.
    """
    adapters = tuple(open_adapter(folder, scale) for folder, scale in lora)
    config = load_config(config_folder(checkpoint, adapters), vision_tower)
    weights = open_checkpoint(checkpoint)
    for adapter in adapters:
        merge(weights, adapter)
    tower = weights if config.tower_in_checkpoint else _clip_tower(weights, vision_tower)
    return ModelSource(config, weights, tower, adapters)


def _clip_tower(checkpoint: Checkpoint, vision_tower: Path | None) -> Checkpoint:
    """Upstream loads V1's tower from the CLIP repository over the one in the checkpoint."""
    assert vision_tower is not None, "load_config refuses V1 without it"
    checkpoint.skip(f"{VISION_TOWER}*", "this model computes with the tower of the CLIP folder")
    return vision_checkpoint(vision_tower)
