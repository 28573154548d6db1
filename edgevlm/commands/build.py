"""`edgevlm build`: a bundle becomes TensorRT plans on the device that will run them. `serve` does it if it must."""

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm.cli import configure_log
from edgevlm.progress import Bar, Lines

if TYPE_CHECKING:
    from edgevlm_engines import Bundle
    from edgevlm_engines.plan_cache import PlanShape, Target
    from edgevlm_export.bundle_writer import Progress

log = logging.getLogger(__name__)

LEVELS = range(6)
SHARED = ("max_batch", "max_length", "plans", "log_level")
"""Settings of the server that say what it needs built, under the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from edgevlm_export.trt.builder import LEVEL, WORKSPACE
    from edgevlm_server.settings import add_arguments as add_settings
    from edgevlm_server.settings import positive_size

    parser.add_argument(
        "bundle", type=Path, help="folder made by 'edgevlm export' with --device jetpack6 or jetpack7"
    )
    add_settings(parser, SHARED)
    parser.add_argument(
        "--workspace",
        type=positive_size,
        default=WORKSPACE,
        metavar="SIZE",
        help=f"what one kernel may take beside its inputs and outputs (default: {WORKSPACE // 2**20} MiB)",
    )
    parser.add_argument(
        "--level",
        type=int,
        choices=LEVELS,
        default=LEVEL,
        help=f"how many kernels TensorRT tries; less takes less time and memory (default: {LEVEL})",
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_engines import open_bundle, size_text, slot_length
    from edgevlm_engines.plan_cache import plan_folder, plan_shape
    from edgevlm_engines.trt.target import this_target
    from edgevlm_export.trt.builder import build_plans
    from edgevlm_server.settings import from_arguments

    settings = from_arguments(arguments)
    configure_log(settings.log_level)
    bundle = open_bundle(arguments.bundle)
    shape = plan_shape(settings.max_batch, slot_length(bundle.manifest, settings.max_batch, settings.max_length))
    target = this_target()
    began = time.monotonic()
    plans = build_plans(
        bundle,
        shape,
        plan_folder(arguments.bundle, settings.plans),
        target,
        workspace=arguments.workspace,
        level=arguments.level,
        progress=_bar,
        waiting=_waiting,
    )
    size = size_text(sum(path.stat().st_size for path in plans.iterdir()))
    print(f"{plans}: {size}, {_described(shape, target)}, in {time.monotonic() - began:.0f} s")
    return 0


def ensure_plans(bundle: "Bundle", slots: int, length: int, plans: Path | None = None) -> None:
    """Build a bundle's plans if this device needs them and has none: the first start of a server.

    `plans` is the plans folder, by default the one beside the bundle. Raises `EngineLoadError` with one sentence.
    """
    if bundle.manifest.flavour == "ort":
        return
    from edgevlm_engines import EngineLoadError
    from edgevlm_engines.plan_cache import has_plans, plan_folder, plan_shape, serving_shape
    from edgevlm_engines.trt.target import this_target
    from edgevlm_export.errors import ExportError
    from edgevlm_export.trt.builder import build_plans

    shape, target, folder = plan_shape(slots, length), this_target(), plan_folder(bundle.folder, plans)
    if has_plans(folder, bundle, serving_shape(folder, bundle.manifest, shape, target), target):
        return
    log.info("TensorRT's plans for this device are built now, once, into %s; that takes minutes.", folder)
    began = time.monotonic()
    try:
        build_plans(bundle, shape, folder, target, progress=Lines, waiting=_waiting)
    except ExportError as error:
        raise EngineLoadError(str(error)) from error
    log.info("Built for %s, in %.0f s.", _described(shape, target), time.monotonic() - began)


def _described(shape: "PlanShape", target: "Target") -> str:
    return f"{shape.slots} slots of {shape.capacity} positions on {target.device}, TensorRT {target.tensorrt}"


def _waiting() -> None:
    log.info("Another process builds these plans; waiting for it.")


def _bar(title: str) -> "Progress":
    return Bar(title, "%") if sys.stderr.isatty() else Lines(title)
