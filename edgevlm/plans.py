"""TensorRT plans at a server's first start: built if this device needs them and has none."""

import logging
import time
from pathlib import Path

from edgevlm_engines import Bundle, EngineLoadError
from edgevlm_engines.plan_cache import PlanShape, Target, has_plans, plan_folder, plan_key, plan_shape, serving_shape
from edgevlm_engines.trt.target import this_target
from edgevlm_export.errors import ExportError
from edgevlm_export.folder_lock import hold

from edgevlm.progress import Lines

log = logging.getLogger(__name__)


def ensure_plans(bundle: Bundle, slots: int, length: int, plans: Path | None = None) -> None:
    """Build a bundle's plans if this device needs them and has none: the first start of a server.

    `plans` is the plans folder, by default the one beside the bundle. Raises `EngineLoadError` with one sentence.
    """
    if bundle.manifest.flavour == "ort":
        return
    shape, folder = plan_shape(slots, length), plan_folder(bundle.folder, plans)
    target = this_target(bundle.manifest.device)
    serving = serving_shape(folder, bundle.manifest, shape, target)
    if has_plans(folder, bundle, serving, target):
        hold(folder / plan_key(bundle.manifest, serving, target))
        return
    # it needs onnx, which a server whose plans are there does without
    from edgevlm_export.trt.builder import build_plans

    log.info("Building TensorRT plans for this device in %s; this happens once and takes minutes.", folder)
    began = time.monotonic()
    try:
        hold(build_plans(bundle, shape, folder, target, progress=Lines, waiting=waiting))
    except ExportError as error:
        raise EngineLoadError(str(error)) from error
    log.info("Built for %s, in %.0f s.", described(shape, target), time.monotonic() - began)


def described(shape: PlanShape, target: Target) -> str:
    """For people."""
    return f"{shape.slots} slots of {shape.capacity} positions on {target.device}, {target.software}"


def waiting() -> None:
    """What a build tells that has to wait."""
    log.info("Another process is building these plans; waiting for it.")
