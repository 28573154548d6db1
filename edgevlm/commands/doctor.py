"""`edgevlm doctor`: what this machine has, which bundles fit it, what they could reach at best, and what is wrong."""

import argparse
from dataclasses import replace
from pathlib import Path

from edgevlm_server.settings import add_arguments as add_settings
from edgevlm_server.settings import from_arguments

from edgevlm.cli import EXIT_FAILED

SHARED = ("plans",)
"""Settings of the server that say what it looks at, under the same names."""

EPILOG = """
Exit code 0: an engine can start: TensorRT on a Jetson, TensorRT-RTX or ONNX Runtime elsewhere, or the engine that
BUNDLE is for.
Exit code 1: it cannot, and each line that begins with "must" says what is missing. Exit code 78: BUNDLE is not a
bundle. Nothing is loaded onto a GPU and nothing is changed. Ceilings are calculated: memory bandwidth divided by what
one step reads.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = " ".join(EPILOG.split())
    parser.add_argument(
        "bundle", type=Path, nargs="?", help="bundle folder made by 'edgevlm export', to check against this machine"
    )
    add_settings(parser, SHARED)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    form.add_argument(
        "--ceilings", action="store_true", help="print the ceilings of all known modules, and nothing else"
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_engines import read_manifest
    from edgevlm_engines.plan_cache import plan_folder
    from pydantic import TypeAdapter

    from edgevlm.doctor.judge import Report, demand, judge
    from edgevlm.doctor.report import as_text, ceilings_table
    from edgevlm.doctor.survey import take_survey

    if arguments.ceilings:
        print(ceilings_table(replace(demand(), slots=1)))
        return 0
    manifest = None if arguments.bundle is None else read_manifest(arguments.bundle)
    chosen = from_arguments(arguments, names=SHARED).plans
    plans = chosen or Path.cwd() if arguments.bundle is None else plan_folder(arguments.bundle, chosen)
    report = judge(take_survey(plans), manifest)
    if arguments.json:
        print(TypeAdapter(Report).dump_json(report, indent=1).decode())
    else:
        print(as_text(report, manifest))
    return 0 if report.ok else EXIT_FAILED
