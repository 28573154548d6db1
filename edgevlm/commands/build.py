"""`edgevlm build`: a bundle becomes TensorRT plans on the device that will run them. `serve` does it if it must."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_export.trt.effort import LEVEL, WORKSPACE
from edgevlm_server.option_values import positive_size
from edgevlm_server.settings import add_arguments as add_settings
from edgevlm_server.settings import from_arguments

from edgevlm.cli import configure_log

if TYPE_CHECKING:
    from edgevlm_export.bundle_writer import Progress

LEVELS = range(6)
SHARED = ("max_batch", "max_length", "plans", "log_level")
"""Settings of the server that say what it needs built, under the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle", type=Path, help="folder made by 'edgevlm export' with --device jetpack6, jetpack7 or rtx"
    )
    add_settings(parser, SHARED)
    parser.add_argument(
        "--workspace",
        type=positive_size,
        default=WORKSPACE,
        metavar="SIZE",
        help=f"memory one kernel may use in addition to its inputs and outputs (default: {WORKSPACE // 2**20} MiB)",
    )
    parser.add_argument(
        "--level",
        type=int,
        choices=LEVELS,
        default=LEVEL,
        help=f"how many kernels TensorRT tries; a lower level takes less time and memory (default: {LEVEL})",
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_engines import open_bundle, size_text, slot_length
    from edgevlm_engines.plan_cache import plan_folder, plan_shape
    from edgevlm_engines.trt.target import this_target
    from edgevlm_export.trt.builder import build_plans

    from edgevlm.plans import described, waiting

    settings = from_arguments(arguments, names=SHARED)
    configure_log(settings.log_level)
    bundle = open_bundle(arguments.bundle)
    shape = plan_shape(settings.max_batch, slot_length(bundle.manifest, settings.max_batch, settings.max_length))
    target = this_target(bundle.manifest.device)
    began = time.monotonic()
    plans = build_plans(
        bundle,
        shape,
        plan_folder(arguments.bundle, settings.plans),
        target,
        workspace=arguments.workspace,
        level=arguments.level,
        progress=_bar,
        waiting=waiting,
    )
    size = size_text(sum(path.stat().st_size for path in plans.iterdir()))
    print(f"{plans}: {size}, {described(shape, target)}, in {time.monotonic() - began:.0f} s")
    return 0


def _bar(title: str) -> "Progress":
    from edgevlm.progress import Bar, Lines

    return Bar(title, "%") if sys.stderr.isatty() else Lines(title)
