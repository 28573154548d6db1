"""Bundles for Jetson in every precision, each exported once for all tests of this folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from edgevlm_engines.names import Device, Precision
from edgevlm_export.exporter import export_bundle

from tests.conftest import GOLDEN

WIDE = "v2-headdim80-bf16"
"""The one golden case whose inputs are whole blocks of 32, which int4 needs."""


class TrtBundles(Protocol):
    def __call__(self, case: str, device: Device, precision: Precision = "fp16") -> Path: ...


@pytest.fixture(scope="session")
def trt_bundles(device_bundles: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> TrtBundles:
    """Makes the bundle of a golden case. Tests that change a bundle copy it first."""
    made: dict[tuple[str, Device, Precision], Path] = {}

    def bundle(case: str, device: Device, precision: Precision = "fp16") -> Path:
        if precision == "fp16":
            return device_bundles(case, device)
        key = (case, device, precision)
        if key not in made:
            made[key] = tmp_path_factory.mktemp(f"{device}-{precision}") / case
            export_bundle(
                GOLDEN / case / "checkpoint",
                made[key],
                vision_tower=GOLDEN / case / "clip",
                device=device,
                precision=precision,
                vision_precision="fp16",
            )
        return made[key]

    return bundle
