"""`edgevlm cache` on TensorRT plans: of which bundle they are, for which TensorRT they were built, who runs them."""

import json
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from edgevlm_engines import EngineLoadError, read_manifest
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.plan_cache import PlanShape, Target, describe, plan_key
from edgevlm_engines.plan_cache.key import FORMAT
from edgevlm_export.folder_lock import held

from edgevlm.cli import main
from tests.cache.conftest import Run, lines
from tests.manifests import change

SHAPE = PlanShape(slots=4, capacity=512)
ORIN = Target("10.3.0", "Orin", "8.7", "R36.4.3")
NEWER = Target("10.16.0", "Orin", "8.7", "R39.0.0")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is said to be an Orin: there is no TensorRT where tests run."""
    runs_on(ORIN, monkeypatch)


def runs_on(target: Target | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def this_target() -> Target:
        if target is None:
            raise EngineLoadError("TensorRT is not installed.")
        return target

    monkeypatch.setattr(import_module("edgevlm_engines.trt.target"), "this_target", this_target)


def write(folder: Path, manifest: Manifest, target: Target = ORIN, fields: Mapping[str, object] = {}) -> Path:
    """Plans as a build leaves them, but for their content."""
    own = folder / plan_key(manifest, SHAPE, target)
    own.mkdir(parents=True)
    (own / "decoder.plan").write_bytes(b"x" * 1000)
    sidecar = describe(manifest, SHAPE, target, {}).model_dump()
    (own / "plan.json").write_text(json.dumps({**sidecar, **fields}))
    return own


@pytest.mark.slow
def test_plans_follow_their_bundle(run: Run, exported: Path) -> None:
    manifest = read_manifest(exported)
    plans = exported.with_name(f"{exported.name}.plans")
    good = write(plans, manifest)
    (plans / "lock").touch()
    name = f"{plans.name}/{good.name}"
    assert lines(run("list"))[name][0:5:2] == ["plans", f"TensorRT 10.3.0, format {FORMAT}", "yes"]
    assert run("prune").startswith("There is nothing to remove")

    other = shutil.copytree(exported, exported.with_name("v2-9999999999999999"))
    change(other, exporter="edgevlm 0.0.9")
    write(other.with_name(f"{other.name}.plans"), manifest)
    write(exported.with_name("gone.plans"), manifest)
    table = lines(run("list"))
    assert table[f"{other.name}.plans"][4] == "no: its bundle cannot be used"
    assert table["gone.plans"][4] == "no: its bundle is gone"
    run("prune")
    assert sorted(path.name for path in exported.parent.iterdir()) == [exported.name, plans.name]
    assert good.exists()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"format": 0}, f"no: it has format 0, and this version reads {FORMAT}"),
        ({"sources": {}}, "no: it was built from other files than the bundle has"),
        (
            {"tensorrt": "8.6.2", "release": ""},
            "no: it was built for TensorRT 8.6.2 on Orin, and this is TensorRT 10.3.0 on Orin and R36.4.3",
        ),
    ],
)
def test_plans_that_can_never_run_here_go(run: Run, exported: Path, fields: dict[str, object], reason: str) -> None:
    plans = exported.with_name(f"{exported.name}.plans")
    own = write(plans, read_manifest(exported), fields=fields)
    assert lines(run("list"))[f"{plans.name}/{own.name}"][4] == reason
    run("prune")
    assert not own.exists() and exported.exists()


def test_without_tensorrt_nobody_knows_what_plans_are_for(
    run: Run, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write(exported.with_name(f"{exported.name}.plans"), read_manifest(exported), NEWER)
    runs_on(None, monkeypatch)
    run("prune")
    assert own.exists()
    runs_on(ORIN, monkeypatch)
    run("prune")
    assert not own.exists()


def test_a_folder_of_plans_that_was_chosen_is_looked_at_too(
    run: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(exported)
    chosen = tmp_path / "plans"
    old, good = write(chosen, manifest, NEWER), write(chosen, manifest)
    assert str(old) not in run("list")
    monkeypatch.setenv("EDGEVLM_PLANS", str(chosen))
    # of no concern to this command, as in a container, where every address is listened on
    monkeypatch.setenv("EDGEVLM_HOST", "0.0.0.0")
    assert lines(run("list")).keys() == {exported.name, str(old), str(good)}
    run("prune")
    assert not old.exists() and good.exists() and exported.exists()


def test_plans_of_a_bundle_of_ones_own(run: Run, cache: Path, bundles: Callable[[str], Path], tmp_path: Path) -> None:
    bundle = shutil.copytree(bundles("v2"), tmp_path / "bundle")
    good = write(tmp_path / "bundle.plans", read_manifest(bundle))
    old = write(tmp_path / "bundle.plans", read_manifest(bundle), NEWER)
    assert lines(run("list", bundle)).keys() == {good.name, old.name}
    run("prune", bundle)
    assert good.exists() and not old.exists() and bundle.exists()
    with held(good):
        run("prune", bundle, "--all")
        assert good.exists()
    run("prune", bundle, "--all")
    assert not good.exists() and bundle.exists()


def test_what_is_no_bundle_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "list", str(tmp_path)]) == 78
    assert "is not a bundle" in capsys.readouterr().err
