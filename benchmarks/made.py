"""Files that comparisons make once in their folder and use again: checkpoints, bundles, plans. Knows no peers."""

import subprocess
import sys
from pathlib import Path

from edgevlm_engines.names import Device, Precision, VisionPrecision
from edgevlm_export.exporter import export_bundle

from benchmarks.machine import ROOT
from benchmarks.random_checkpoint import CLIP, WEIGHTS, write_checkpoint
from benchmarks.shapes import SHAPES
from edgevlm.progress import Bar

SEED = 0


def make_checkpoint(work: Path, shape: str) -> Path:
    """Random weights of that shape."""
    checkpoint = work / shape
    if not (checkpoint / WEIGHTS).exists():
        write_checkpoint(SHAPES[shape], checkpoint, SEED, bar(checkpoint))
    return checkpoint


def make_bundle(
    checkpoint: Path, bundle: Path, precision: Precision, vision_precision: VisionPrecision, device: Device = "cpu"
) -> None:
    """Export it, unless the folder is there."""
    if not bundle.exists():
        export_bundle(
            checkpoint,
            bundle,
            vision_tower=checkpoint / CLIP,
            device=device,
            precision=precision,
            vision_precision=vision_precision,
            progress=bar(bundle),
        )


def make_plans(bundle: Path, slots: int, max_length: int) -> None:
    """Build what TensorRT runs. Raises `subprocess.CalledProcessError` where it cannot; why has then been printed."""
    sizes = ["--max-batch", str(slots), "--max-length", str(max_length)]
    # in a process of its own, which gives all its memory back
    command = [sys.executable, "-m", "edgevlm", "build", str(bundle.resolve()), *sizes]
    subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=True)


def bar(target: Path) -> Bar:
    return Bar(f"Making {target.name}")
