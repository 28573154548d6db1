"""`edgevlm doctor`: what this machine has, which bundles fit it, what they could reach at best, and what is wrong."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm.cli import EXIT_FAILED
from edgevlm.doctor.advice import Advice
from edgevlm.doctor.fit import Fit
from edgevlm.doctor.survey import Survey

if TYPE_CHECKING:
    from edgevlm_engines import Demand, Manifest

EPILOG = """
Exit code 0: an engine could start, TensorRT on a Jetson and ONNX Runtime elsewhere, or the one that BUNDLE is for.
Exit code 1: it could not, and each line that begins with "must" says what is missing. Exit code 78: BUNDLE is no
bundle. Nothing is loaded on a GPU, nothing is changed. Ceilings are arithmetic: what memory can deliver over what a
step reads.
"""
PUBLISHED = "MobileVLM_V2-1.7B"


@dataclass(frozen=True, slots=True)
class Report:
    """What `--json` writes. `device` is for `edgevlm export`; `bandwidth` in bytes a second."""

    ok: bool
    survey: Survey
    device: str | None
    bandwidth: float | None
    fits: list[Fit]
    advice: list[Advice]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = " ".join(EPILOG.split())
    parser.add_argument(
        "bundle", type=Path, nargs="?", help="folder made by 'edgevlm export', to be judged for this machine"
    )
    parser.add_argument(
        "--plans", type=Path, metavar="DIR", help="folder of TensorRT's plans (default: BUNDLE.plans)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    form.add_argument(
        "--ceilings", action="store_true", help="print the ceilings of all modules that are known, and nothing else"
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_engines import read_manifest
    from edgevlm_engines.plan_cache import plan_folder
    from pydantic import TypeAdapter

    from edgevlm.doctor.report import ceilings_table
    from edgevlm.doctor.survey import take_survey

    if arguments.ceilings:
        print(ceilings_table(replace(_demand(), slots=1)))
        return 0
    manifest = None if arguments.bundle is None else read_manifest(arguments.bundle)
    plans = arguments.plans or (Path.cwd() if arguments.bundle is None else plan_folder(arguments.bundle))
    report = judge(take_survey(plans), manifest)
    if arguments.json:
        print(TypeAdapter(Report).dump_json(report, indent=1).decode())
    else:
        print(as_text(report, manifest))
    return 0 if report.ok else EXIT_FAILED


def judge(survey: Survey, manifest: "Manifest | None" = None) -> Report:
    """For the bundle, or for the published models where a Jetson has an export for them."""
    from edgevlm.doctor.advice import advise
    from edgevlm.doctor.fit import bundle_fit, export_device, memory_bandwidth, published_fits

    device, bandwidth = export_device(survey), memory_bandwidth(survey)
    fits: list[Fit] = []
    if manifest is not None:
        fits = [bundle_fit(manifest, _demand(manifest.max_length), survey, bandwidth)]
    elif survey.board.jetson and device is not None:
        fits = published_fits(survey, device, _demand())
    advice = advise(survey, manifest, fits[0].slots if manifest else None, _demand().slots)
    return Report(not any(one.stops for one in advice), survey, device, bandwidth, fits, advice)


def as_text(report: Report, manifest: "Manifest | None" = None) -> str:
    """For people."""
    from edgevlm.doctor.report import advice_text, facts, fits_table

    demand = _demand(manifest.max_length if manifest else None)
    parts = [facts(report.survey, report.bandwidth)]
    if report.fits:
        parts.append(fits_table(report.fits, demand.slots, demand.max_length))
    if manifest is None and report.device is not None:
        parts.append(_commands(report, demand))
    return "\n\n".join([*parts, advice_text(report.advice)])


def _commands(report: Report, demand: "Demand") -> str:
    """For the most exact precision of which one slot fits; on a CPU, what export does by itself."""
    fit = next((fit for fit in report.fits if fit.model == PUBLISHED and fit.slots), None)
    bundle = f"bundles/{PUBLISHED.removeprefix('MobileVLM_').lower()}"
    export = f"edgevlm export {PUBLISHED} {bundle} --device {report.device}"
    if fit is None:
        return f"To export, here or on a PC: {export}"
    shape = f"{bundle} --max-batch {fit.slots} --max-length {demand.max_length}"
    return (
        f"To export, here or on a PC: {export} --precision {fit.precision}\n"
        f"To serve it here: edgevlm build {shape} && edgevlm serve {shape}"
    )


def _demand(length: int | None = None) -> "Demand":
    """What `edgevlm serve` asks for by itself."""
    from edgevlm_engines import Demand
    from edgevlm_server.settings import Settings

    from edgevlm.doctor.fit import LENGTH

    settings = Settings()
    return Demand(
        slots=settings.max_batch,
        max_length=length or LENGTH,
        image_cache=settings.image_cache,
        prefix_cache=settings.prefix_cache,
        queue=settings.max_queue,
        max_body=settings.max_body,
    )
