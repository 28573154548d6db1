"""A model of the smallest shape, as a checkpoint and as a bundle."""

from pathlib import Path

import pytest
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.exporter import export_bundle

from benchmarks.random_checkpoint import CLIP, write_checkpoint
from benchmarks.shapes import SHAPES


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    write_checkpoint(SHAPES["tiny"], folder, 0, Progress())
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(tiny_checkpoint, folder, vision_tower=tiny_checkpoint / CLIP)
    return folder
