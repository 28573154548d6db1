"""TensorRT plans are used as they were built, for what they were built, or refused with one sentence."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from edgevlm_engines import Bundle, open_bundle
from edgevlm_engines.bundle import file_digest
from edgevlm_engines.errors import EngineLoadError, PlanError, PlanMissing
from edgevlm_engines.manifest import File
from edgevlm_engines.plan_cache import (
    PlanShape,
    Target,
    capacity,
    describe,
    has_plans,
    open_plans,
    plan_folder,
    plan_key,
    plan_shape,
    windows,
)

SHAPE = PlanShape(slots=4, capacity=512)
ORIN = Target("10.3.0", "Orin", "8.7", "R36.4.3")


@pytest.fixture
def bundle(bundles: Callable[[str], Path]) -> Bundle:
    """With the manifest of a bundle for TensorRT: plans are told by it alone."""
    opened = open_bundle(bundles("v2"))
    fields = {"flavour": "trt-split", "device": "jetpack6", "precision": "fp16", "vision_precision": "fp16"}
    return replace(opened, manifest=opened.manifest.model_copy(update=fields))


@pytest.fixture
def plans(bundle: Bundle, tmp_path: Path) -> Path:
    """A plans folder with plans for `SHAPE` on `ORIN`."""
    write(tmp_path / "plans", bundle, SHAPE, ORIN)
    return tmp_path / "plans"


def write(plans: Path, bundle: Bundle, shape: PlanShape, target: Target) -> Path:
    own = plans / plan_key(bundle.manifest, shape, target)
    own.mkdir(parents=True)
    for name in ("decoder.plan", "vision.plan"):
        (own / name).write_bytes(f"built {name}".encode() * 100)
    files = {path.name: File(size=path.stat().st_size, sha256=file_digest(path)) for path in own.iterdir()}
    (own / "plan.json").write_text(describe(bundle.manifest, shape, target, files).model_dump_json())
    return own


def own(plans: Path) -> Path:
    [folder] = plans.iterdir()
    return folder


def change(plans: Path, **fields: object) -> None:
    path = own(plans) / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refusal(plans: Path, bundle: Bundle, shape: PlanShape = SHAPE, target: Target = ORIN) -> str:
    """The sentence, after a look at its form."""
    with pytest.raises(PlanError) as caught:
        open_plans(plans, bundle, shape, target)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and ". " not in text, text
    return text


def test_plans_are_opened_as_they_were_built(plans: Path, bundle: Bundle) -> None:
    opened = open_plans(plans, bundle, SHAPE, ORIN)
    assert opened.decoder.read_bytes() == b"built decoder.plan" * 100
    assert opened.vision == own(plans) / "vision.plan"
    assert has_plans(plans, bundle, SHAPE, ORIN)


def test_the_key_changes_with_every_part(bundle: Bundle) -> None:
    manifest = bundle.manifest
    manifests = [manifest.model_copy(update={name: "other"}) for name in ("flavour", "precision", "vision_precision")]
    for name in ("decoder.onnx", "decoder.data", "vision.onnx", "vision.data"):
        other = manifest.files[name].model_copy(update={"sha256": "0" * 64})
        manifests.append(manifest.model_copy(update={"files": {**manifest.files, name: other}}))
    keys = [plan_key(manifest, SHAPE, ORIN)]
    keys += [plan_key(each, SHAPE, ORIN) for each in manifests]
    keys += [plan_key(manifest, SHAPE._replace(**{name: 1}), ORIN) for name in SHAPE._fields]
    keys += [plan_key(manifest, SHAPE, ORIN._replace(**{name: "1"})) for name in ORIN._fields]
    assert len(set(keys)) == len(keys) == 1 + 7 + 3 + 5


def test_the_key_does_not_change_with_what_plans_do_not_depend_on(bundle: Bundle) -> None:
    other = bundle.manifest.model_copy(update={"model": "renamed", "max_slots": 3})
    assert plan_key(other, SHAPE, ORIN) == plan_key(bundle.manifest, SHAPE, ORIN)


@pytest.mark.parametrize("name", ["decoder.plan", "vision.plan"])
def test_damaged_plans_are_refused(plans: Path, bundle: Bundle, name: str) -> None:
    path = own(plans) / name
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert not has_plans(plans, bundle, SHAPE, ORIN)
    assert f"{name} is damaged: it has {len(good) - 1} bytes" in refusal(plans, bundle)
    path.write_bytes(good[:50] + bytes([good[50] ^ 1]) + good[51:])
    assert f"{name} is damaged: its SHA-256" in refusal(plans, bundle)
    path.unlink()
    assert f"{name} is missing" in refusal(plans, bundle)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"surprise": 1}, "surprise"),
        ({"format": 1}, "format"),
        ({"slots": "many"}, "slots"),
        ({"files": {}}, "does not belong to these plans"),
        ({"key": "another"}, "does not belong to these plans"),
        ({"tensorrt": "10.7.0"}, "built for TensorRT 10.7.0, and this is TensorRT 10.3.0"),
        ({"device": "NVIDIA Thor"}, "built on NVIDIA Thor (compute capability 8.7), and this is Orin"),
        ({"compute": "8.6"}, "built on Orin (compute capability 8.6), and this is Orin (compute capability 8.7)"),
        ({"release": "R36.5.0"}, "built under release R36.5.0 of the system, and this is R36.4.3"),
        ({"flavour": "trt-native"}, "built for the flavour trt-native, and the bundle has trt-split"),
        ({"slots": 2}, "built for 2 slots of the cache, and 4 are asked for"),
        ({"capacity": 256}, "built for slots of 256 positions, and 512 are asked for"),
        ({"chunk": 9}, "from other graphs or lengths of calls"),
        ({"sources": {}}, "from other graphs or lengths of calls"),
        ({"precision": "int4"}, "from other graphs or lengths of calls"),
    ],
)
def test_a_sidecar_that_says_something_else_is_refused(
    plans: Path, bundle: Bundle, fields: dict[str, object], sentence: str
) -> None:
    change(plans, **fields)
    assert sentence in refusal(plans, bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_sidecar_that_is_not_json_is_refused(plans: Path, bundle: Bundle, text: str) -> None:
    (own(plans) / "plan.json").write_text(text)
    assert "plan.json cannot be used" in refusal(plans, bundle)
    (own(plans) / "plan.json").unlink()
    assert "plan.json cannot be read: No such file" in refusal(plans, bundle)


@pytest.mark.parametrize(
    ("shape", "target", "reason"),
    [
        (SHAPE, ORIN._replace(tensorrt="10.7.0"), "were built for TensorRT 10.3.0, and this is TensorRT 10.7.0"),
        (SHAPE, ORIN._replace(device="NVIDIA Thor"), "were built on Orin"),
        (SHAPE._replace(slots=8), ORIN, "were built for 4 slots of the cache, and 8 are asked for"),
    ],
)
def test_missing_plans_name_the_command_and_why_others_do_not_serve(
    plans: Path, bundle: Bundle, shape: PlanShape, target: Target, reason: str
) -> None:
    with pytest.raises(PlanMissing) as caught:
        open_plans(plans, bundle, shape, target)
    assert reason in str(caught.value)
    assert f"run 'edgevlm build {bundle.folder} --max-batch {shape.slots} --max-length 512'" in str(caught.value)


def test_no_plans_at_all(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(PlanMissing, match=r"has no TensorRT plans for .* run 'edgevlm build"):
        open_plans(tmp_path / "absent", bundle, SHAPE, ORIN)
    assert issubclass(PlanMissing, EngineLoadError)


def test_a_graph_that_this_tensorrt_cannot_run_is_refused_whatever_was_built(bundle: Bundle, tmp_path: Path) -> None:
    native = replace(bundle, manifest=bundle.manifest.model_copy(update={"flavour": "trt-native"}))
    write(tmp_path / "plans", native, SHAPE, ORIN)
    assert "from 10.15 on, and this is TensorRT 10.3.0; export it with --device jetpack6" in refusal(
        tmp_path / "plans", native
    )
    thor = ORIN._replace(tensorrt="10.15.1")
    write(tmp_path / "newer", native, SHAPE, thor)
    assert open_plans(tmp_path / "newer", native, SHAPE, thor)
    ort = replace(bundle, manifest=bundle.manifest.model_copy(update={"flavour": "ort", "device": "cpu"}))
    assert "exported for cpu, and TensorRT does not run it" in refusal(tmp_path / "plans", ort)


def test_where_plans_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan_folder(Path("bundles/v2-1.7b")) == tmp_path / "bundles/v2-1.7b.plans"
    assert plan_folder(Path(".")) == tmp_path.with_name(f"{tmp_path.name}.plans")
    assert plan_folder(tmp_path, tmp_path / "other") == tmp_path / "other"


def test_capacity_and_windows() -> None:
    assert [capacity(length) for length in (1, 64, 65, 2000, 2048)] == [64, 64, 128, 2048, 2048]
    assert windows(64) == (64,)
    assert windows(256) == (256,)
    assert windows(320) == (256, 320)
    assert windows(2048) == (256, 512, 1024, 2048)
    assert plan_shape(3, 500) == PlanShape(3, 512, 256)


def test_a_bundle_for_the_other_library_is_refused_with_the_device_to_export_for(plans: Path, bundle: Bundle) -> None:
    rtx = Target("1.4.0.76", "NVIDIA RTX A2000", "8.6", library="TensorRT-RTX")
    text = refusal(plans, bundle, target=rtx)
    assert "which runs TensorRT, and this is TensorRT-RTX 1.4.0.76; export it with --device rtx" in text
    own = replace(bundle, manifest=bundle.manifest.model_copy(update={"device": "rtx", "flavour": "trt-native"}))
    assert "which runs TensorRT-RTX, and this is TensorRT 10.3.0; export it with --device jetpack6" in refusal(
        plans, own
    )
    old = rtx._replace(tensorrt="1.3.0.5")
    assert "and this is TensorRT-RTX 1.3.0.5; install a newer one" in refusal(plans, own, target=old)
