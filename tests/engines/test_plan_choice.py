"""Which of the plans that are there serve what is asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import Manifest, read_manifest
from edgevlm_engines.plan_cache import SIDECAR, PlanShape, Target, describe, plan_key, serving_shape

ORIN = Target("10.3.0", "Orin", "8.7", "R36.4.3")


@pytest.fixture
def manifest(device_bundles: Callable[[str, str], Path]) -> Manifest:
    return read_manifest(device_bundles("v2", "jetpack6"))


def put(folder: Path, manifest: Manifest, shape: PlanShape, target: Target = ORIN) -> Path:
    own = folder / plan_key(manifest, shape, target)
    own.mkdir(parents=True)
    (own / SIDECAR).write_text(describe(manifest, shape, target, {}).model_dump_json())
    return own


def test_the_fewest_slots_that_are_enough(manifest: Manifest, tmp_path: Path) -> None:
    wanted = PlanShape(3, 512)
    assert serving_shape(tmp_path / "none", manifest, wanted, ORIN) == wanted
    for slots in (2, 16, 8):
        put(tmp_path, manifest, PlanShape(slots, 512))
    assert serving_shape(tmp_path, manifest, wanted, ORIN) == PlanShape(8, 512)
    assert serving_shape(tmp_path, manifest, PlanShape(16, 512), ORIN) == PlanShape(16, 512)
    assert serving_shape(tmp_path, manifest, PlanShape(17, 512), ORIN) == PlanShape(17, 512)
    put(tmp_path, manifest, wanted)
    assert serving_shape(tmp_path, manifest, wanted, ORIN) == wanted


def test_what_was_built_for_something_else_does_not_serve(manifest: Manifest, tmp_path: Path) -> None:
    wanted = PlanShape(3, 512)
    put(tmp_path, manifest, PlanShape(8, 576))
    put(tmp_path, manifest, PlanShape(8, 512, chunk=32))
    put(tmp_path, manifest, PlanShape(8, 512), ORIN._replace(tensorrt="10.7.0"))
    put(tmp_path, manifest.model_copy(update={"precision": "int8"}), PlanShape(8, 512))
    own = put(tmp_path, manifest, PlanShape(8, 512))
    (own / SIDECAR).write_text("{}")
    assert serving_shape(tmp_path, manifest, wanted, ORIN) == wanted
