"""`edgevlm serve`: the HTTP server on a bundle, on a checkpoint, or on the demo model."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import get_args

from edgevlm_engines.names import Device
from edgevlm_server.settings import add_arguments as add_settings
from edgevlm_server.settings import from_arguments

from edgevlm.cli import configure_log
from edgevlm.commands.export import add_conversion


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle",
        type=Path,
        nargs="?",
        help="bundle folder made by 'edgevlm export', or a checkpoint folder, which is exported for this machine and "
        "cached at the first start, or the name of a published model, such as MobileVLM_V2-1.7B, which is fetched "
        "first (default: the built-in demo model)",
    )
    parser.add_argument(
        "--name", help="model name that clients see (default: the one that the model was exported with)"
    )
    add_settings(parser)
    conversion = parser.add_argument_group("for a checkpoint only")
    conversion.add_argument(
        "--device", choices=get_args(Device), help="what to export it for (default: this machine)"
    )
    add_conversion(conversion)


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_server.model import load_model
    from edgevlm_server.run import serve

    from edgevlm.first_start import Conversion, check_conversion, served_bundle
    from edgevlm.plans import ensure_plans

    settings = from_arguments(arguments)
    conversion = Conversion.of(arguments)
    check_conversion(arguments.bundle, conversion)
    configure_log(settings.log_level, settings.log_format or ("text" if sys.stderr.isatty() else "json"))
    bundle = partial(served_bundle, arguments.bundle, settings, conversion)
    prepare = partial(ensure_plans, plans=settings.plans)
    return serve(settings, lambda: load_model(bundle(), settings, prepare=prepare, name=arguments.name))
