"""A survey is judged: what fits, what it reaches at best, what is wrong. Reads nothing itself."""

from dataclasses import dataclass

from edgevlm_engines import Demand, Manifest
from edgevlm_server.memory_budget import demand_of
from edgevlm_server.settings import Settings

from edgevlm.doctor.advice import Advice, advise
from edgevlm.doctor.fit import LENGTH, Fit, bundle_fit, export_device, memory_bandwidth, published_fits
from edgevlm.doctor.survey import Survey


@dataclass(frozen=True, slots=True)
class Report:
    """What `--json` writes. `device` is for `edgevlm export`; `bandwidth` in bytes a second."""

    ok: bool
    survey: Survey
    device: str | None
    bandwidth: float | None
    fits: list[Fit]
    advice: list[Advice]


def judge(survey: Survey, manifest: Manifest | None = None) -> Report:
    """For the bundle, or for the published models where a Jetson has an export for them."""
    device, bandwidth = export_device(survey), memory_bandwidth(survey)
    fits: list[Fit] = []
    if manifest is not None:
        fits = [bundle_fit(manifest, demand(manifest.max_length), survey, bandwidth)]
    elif survey.board.jetson and device is not None:
        fits = published_fits(survey, device, demand())
    advice = advise(survey, manifest, fits[0].slots if manifest else None, demand().slots)
    return Report(not any(one.stops for one in advice), survey, device, bandwidth, fits, advice)


def demand(length: int | None = None) -> Demand:
    """What `edgevlm serve` asks for by itself."""
    return demand_of(Settings(), length or LENGTH)
