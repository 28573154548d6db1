"""Plans of a bundle for the stand-in, where the builder would put them. Builds nothing: it packs."""

import tempfile
from contextlib import suppress
from pathlib import Path

import onnx
from edgevlm_engines import open_bundle
from edgevlm_engines.bundle import DECODER, VISION
from edgevlm_engines.plan_cache import (
    DECODER_PLAN,
    SIDECAR,
    VISION_PLAN,
    PlanShape,
    describe,
    plan_folder,
    plan_key,
    plan_shape,
)
from edgevlm_engines.trt.target import this_target
from edgevlm_export.bundle_writer import file_table
from edgevlm_export.trt.model import set_capacity
from edgevlm_export.trt.profiles import Profile, decoder_profiles, vision_profiles

from tests.tensorrt.standin.plan_file import pack_plan


def write_plans(folder: Path, slots: int, max_length: int, plans: Path | None = None) -> Path:
    """Both plans of the bundle in `folder`, for the machine that stands in now; returns their folder.

    `plans` is the plans folder, by default the one beside the bundle.
    """
    bundle = open_bundle(folder)
    shape, target = plan_shape(slots, max_length), this_target(bundle.manifest.device)
    own = plan_folder(folder, plans) / plan_key(bundle.manifest, shape, target)
    if own.is_dir():
        return own
    own.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=own.parent))
    for graph, plan, profiles in (
        (DECODER, DECODER_PLAN, decoder_profiles(bundle.manifest, shape)),
        (VISION, VISION_PLAN, vision_profiles(bundle.manifest)),
    ):
        (made / plan).write_bytes(_packed(bundle.path(graph), shape, profiles))
    files = {name: file for name, file in file_table(made).items() if name != SIDECAR}
    sidecar = describe(bundle.manifest, shape, target, files)
    (made / SIDECAR).write_text(sidecar.model_dump_json(), encoding="utf-8")
    with suppress(OSError):  # another worker may have been quicker
        made.rename(own)
    return own


def _packed(graph: Path, shape: PlanShape, profiles: list[Profile]) -> bytes:
    model = onnx.load(graph)
    set_capacity(model, shape.capacity)
    ranges = [
        {name: (sizes.least, sizes.usual, sizes.most) for name, sizes in profile.items()} for profile in profiles
    ]
    return pack_plan(model.SerializeToString(), ranges)
