"""`edgevlm serve`: the HTTP server on a bundle, or on the demo model."""

import argparse
from functools import partial
from pathlib import Path

from edgevlm_server.run import serve
from edgevlm_server.settings import add_arguments as add_settings
from edgevlm_server.settings import from_arguments

from edgevlm.cli import configure_log
from edgevlm.demo_bundle import find_bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle", type=Path, nargs="?", help="folder made by 'edgevlm export' (default: the embedded demo model)"
    )
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_server.model import load_model

    from edgevlm.build import ensure_plans

    settings = from_arguments(arguments)
    configure_log(settings.log_level)
    prepare = partial(ensure_plans, plans=settings.plans)
    return serve(settings, lambda: load_model(find_bundle(arguments.bundle), settings, prepare=prepare))
