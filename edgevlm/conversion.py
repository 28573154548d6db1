"""What is served, and how a checkpoint is converted for it: options of several commands. Converts nothing."""

# ruff: noqa: RUF009 - a field is made by `option`

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from edgevlm_engines.names import Device, Precision, VisionPrecision
from edgevlm_server.options import option


def lora(text: str) -> tuple[Path, float]:
    """An adapter's folder and its scale."""
    folder, colon, scale = text.rpartition(":")
    if not colon or Path(text).is_dir():
        return Path(text), 1.0
    try:
        factor = float(scale)
    except ValueError:
        return Path(text), 1.0
    if not math.isfinite(factor) or factor == 0:
        raise argparse.ArgumentTypeError(f"{scale} is no scale: a number other than 0 is needed")
    return Path(folder), factor


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a checkpoint is to be converted; `None` is what `edgevlm export` does by itself, and for this machine."""

    vision_tower: Path | None = option(
        None,
        "folder of the CLIP model; V1 needs its weights, V2 only its sizes if they differ from ViT-L/14-336",
        "DIR",
        Path,
    )
    precision: Precision | None = option(
        None,
        "precision of the language model's matmuls; int4 has not been tried on TensorRT 10.3 (default: int8 for cpu, "
        "otherwise fp16)",
        choices=get_args(Precision),
    )
    vision_precision: VisionPrecision | None = option(
        None,
        "precision of the vision encoder's matmuls (default: fp32 for cpu, otherwise fp16)",
        choices=get_args(VisionPrecision),
    )
    device: Device | None = option(None, "what to export it for (default: this machine)", choices=get_args(Device))
    lora: tuple[tuple[Path, float], ...] = option(
        (),
        "merge the LoRA adapter in this folder (PEFT's format, with upstream's non_lora_trainables.bin), times SCALE "
        "(default: 1); for several give it again, or separate them by commas in the variable",
        "DIR[:SCALE]",
        lora,
        many=True,
    )
    about: Path | None = option(
        None,
        "file that says what the model can read and how it refuses (default: edgevlm.json beside the weights)",
        "FILE",
        Path,
    )


PARTS = ("vision_tower", "lora")
"""What belongs to a checkpoint."""

CONVERSION = (*PARTS, "precision", "vision_precision", "about")
"""What does not depend on where the bundle is to run."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a server serves."""

    model: Path | None = option(
        None,
        "bundle folder made by 'edgevlm export', or a checkpoint folder, which is exported for this machine and "
        "cached at the first start, or the name of a published model, such as MobileVLM_V2-1.7B, which is fetched "
        "first (default: the built-in demo model)",
        "MODEL",
        Path,
        positional=True,
    )
    name: str | None = option(
        None, "model name that clients see (default: the one that the model was exported with)", "NAME"
    )
