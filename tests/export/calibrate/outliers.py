"""The demo model with outliers like those of published models: the same answers, from numbers that round badly.

Channels that go into a matmul are multiplied by factors with a heavy tail, and the matmul's columns divided by them.
Behind a GELU, where that is impossible, one unit is made a large constant, whose contribution the bias takes back.
`python -m tests.export.calibrate.outliers FOLDER` writes it.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_export.calibrate.groups import groups
from edgevlm_export.calibrate.rescale import Scale, fold
from edgevlm_export.model_source import VISION_TOWER, ModelSource, open_model
from numpy.typing import NDArray
from safetensors.numpy import save_file

LARGEST = 100.0
CONSTANT = 200.0
STUCK = f"{VISION_TOWER}vision_model.encoder.layers.1.mlp."
"""The layer with a unit that is always large."""


def with_outliers(folder: Path) -> Path:
    """A checkpoint; its vision tower is described by the demo's CLIP folder."""
    model = open_model(checkpoint_folder(), clip_folder())
    draw = np.random.default_rng(5)
    for group in groups(model.config):
        if group.fed_by:
            inputs = model.weights.stored(group.tensors[0]).shape[1]
            factors = np.minimum(1 + draw.pareto(1.0, inputs), LARGEST).astype(np.float32)
            factors[draw.choice(inputs, 2, replace=False)] = LARGEST
            fold(model, Scale(group, np.float32(1) / factors))
    tensors = {name: np.array(model.weights.stored(name).read()) for name in model.weights.names()}
    _stick(tensors)
    shutil.copytree(checkpoint_folder(), folder, ignore=shutil.ignore_patterns("*.bin"))
    save_file(tensors, folder / "model.safetensors")
    return folder


def _stick(tensors: dict[str, NDArray[Any]]) -> None:
    """Replace the unit of the MLP that matters least by a constant."""
    enter, leave = (tensors[f"{STUCK}{name}.weight"].astype(np.float32) for name in ("fc1", "fc2"))
    bias, after = (tensors[f"{STUCK}{name}.bias"].astype(np.float32) for name in ("fc1", "fc2"))
    unit = int(np.linalg.norm(leave, axis=0).argmin())
    enter[unit], bias[unit] = 0, CONSTANT
    leave[:, unit] = np.random.default_rng(6).normal(0, 0.05, len(leave)).astype(np.float16)
    after -= CONSTANT * leave[:, unit]
    for name, value in (("fc1.weight", enter), ("fc1.bias", bias), ("fc2.weight", leave), ("fc2.bias", after)):
        tensors[f"{STUCK}{name}"] = value


def opened(folder: Path) -> ModelSource:
    return open_model(folder, clip_folder())


if __name__ == "__main__":
    print(with_outliers(Path(sys.argv[1])))
