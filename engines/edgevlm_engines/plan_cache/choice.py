"""Which plans of the cache to use: those for more slots than are asked for do as well. Knows no TensorRT.

So a question on the command line, or a server that memory holds to fewer slots, needs no plans of its own.
"""

from pathlib import Path

from pydantic import ValidationError

from edgevlm_engines.manifest import Manifest
from edgevlm_engines.plan_cache.files import SIDECAR, Sidecar
from edgevlm_engines.plan_cache.key import PlanShape, Target, plan_key


def serving_shape(folder: Path, manifest: Manifest, wanted: PlanShape, target: Target) -> PlanShape:
    """The shape of plans in the plans folder that allow what is wanted, with the fewest slots; else what is wanted.

    Slots of another capacity would take other memory than was planned. Nothing is verified here: see `open_plans`.
    """
    there = [shape for path in folder.glob(f"*/{SIDECAR}") if (shape := _shape(path, manifest, target)) is not None]
    enough = [
        shape for shape in there if shape.slots >= wanted.slots and shape._replace(slots=wanted.slots) == wanted
    ]
    return min(enough, key=lambda shape: shape.slots, default=wanted)


def _shape(path: Path, manifest: Manifest, target: Target) -> PlanShape | None:
    """What plans were built for, if it was this bundle and this machine."""
    try:
        shape = Sidecar.model_validate_json(path.read_bytes()).shape
    except (OSError, ValidationError):
        return None
    return shape if plan_key(manifest, shape, target) == path.parent.name else None
