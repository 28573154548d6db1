"""A bundle is used whole and unchanged, or refused with one sentence."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import (
    BundleError,
    EngineLoadError,
    Unreadable,
    engine_for,
    load_engine,
    open_bundle,
    provider_for,
    read_manifest,
)
from edgevlm_engines.bundle import REQUIRED
from edgevlm_export.exporter import export_bundle

from tests.conftest import GOLDEN
from tests.manifests import change

V2 = GOLDEN / "v2"


@pytest.fixture
def bundle(bundles: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(bundles("v2"), tmp_path / "bundle"))


def test_the_manifest_vouches_for_every_file(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert set(opened.manifest.files) == {path.name for path in bundle.iterdir()} - {"manifest.json"}
    assert set(REQUIRED) <= set(opened.manifest.files)


def test_progress_counts_every_byte(bundle: Path) -> None:
    counted: list[int] = []
    manifest = open_bundle(bundle, counted.append).manifest
    assert sum(counted) == sum(file.size for file in manifest.files.values())


@pytest.mark.parametrize("name", [*REQUIRED, "vision.data", "decoder.data"])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_one_flipped_bit_is_found(bundle: Path, name: str, place: float) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[round(place * (len(data) - 1))] ^= 4
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=rf"{name} is damaged: its SHA-256"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_truncated_file_is_found(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes((bundle / name).read_bytes()[:-1])
    with pytest.raises(BundleError, match=f"{name} is damaged: it has"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file_is_found(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["manifest.json", "decoder.data"])
def test_what_cannot_be_read_is_not_called_damaged(bundle: Path, name: str) -> None:
    """A link to itself stands for a disk that fails, and for another user's file: root may read those."""
    (bundle / name).unlink()
    (bundle / name).symlink_to(name)
    with pytest.raises(Unreadable, match=f"{name} cannot be read: Too many levels of symbolic links"):
        open_bundle(bundle)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="absent is not a bundle: there is no such folder"):
        open_bundle(tmp_path / "absent")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format": 4}, "has format 4, and this version reads 5; export the model again"),
        ({"surprise": 1}, "surprise"),
        ({"precision": "fp8"}, "precision"),
        ({"max_slots": 0}, "max_slots"),
        ({"files": {}}, "lists no file 'vision.onnx'"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(bundle: Path, fields: dict[str, object], sentence: str) -> None:
    change(bundle, **fields)
    with pytest.raises(BundleError, match=sentence):
        open_bundle(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_manifest_that_is_not_json_is_refused(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json does not end with its own digest; export the model again"):
        open_bundle(bundle)


def test_a_manifest_cannot_name_files_elsewhere(bundle: Path) -> None:
    files = read_manifest(bundle).model_dump()["files"]
    change(bundle, files={**files, "../outside": {"size": 1, "sha256": "0" * 64}})
    with pytest.raises(BundleError, match="outside of the bundle"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"slots": 0}, "1 to 64 slots"),
        ({"slots": 65}, "1 to 64 slots"),
        ({"slots": 1, "max_length": 144}, r"^The length \(--max-length\) must lie between 145"),
        ({"slots": 1, "max_length": 4096}, "the most that this model takes; it is 4096"),
        ({"slots": 1, "provider": "cuda"}, "fp16 alone"),
    ],
)
def test_an_engine_that_cannot_be_had_says_why(bundle: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(EngineLoadError, match=sentence):
        load_engine("ort", open_bundle(bundle), **options)  # type: ignore[arg-type]


def test_cuda_without_its_runtime_says_what_to_install(tmp_path: Path) -> None:
    export_bundle(
        V2 / "checkpoint", tmp_path / "fp16", vision_tower=V2 / "clip", precision="fp16", vision_precision="fp16"
    )
    with pytest.raises(EngineLoadError, match="has no CUDAExecutionProvider; install the 'gpu' extra"):
        load_engine("ort", open_bundle(tmp_path / "fp16"), slots=1, provider="cuda")


def test_an_unknown_engine_is_told_the_known_ones(bundle: Path) -> None:
    with pytest.raises(EngineLoadError, match="known are ort, trt, echo"):
        load_engine("torch", open_bundle(bundle), slots=1)


@pytest.mark.parametrize("device", ["jetpack6", "jetpack7"])
def test_the_engine_is_the_one_that_a_bundle_was_made_for_if_none_is_chosen(bundle: Path, device: str) -> None:
    manifest = read_manifest(bundle)
    assert (engine_for(manifest, None), provider_for(manifest, None)) == ("ort", "cpu")
    assert (engine_for(manifest, "echo"), provider_for(manifest, "cuda")) == ("echo", "cuda")
    change(bundle, device=device, flavour="trt-split")
    assert engine_for(read_manifest(bundle), None) == "trt"
    assert engine_for(read_manifest(bundle), "ort") == "ort"


def test_a_bundle_for_tensorrt_is_not_for_onnx_runtime(bundle: Path) -> None:
    change(bundle, device="jetpack6", flavour="trt-split")
    with pytest.raises(
        EngineLoadError, match=r"was made for jetpack6 and runs on TensorRT alone; .* --device cpu or cuda"
    ):
        load_engine("ort", open_bundle(bundle), slots=1)


def test_without_tensorrt_its_engine_says_what_is_missing(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(
        EngineLoadError, match=r"made for cpu and runs on ONNX Runtime; .* --device jetpack6, jetpack7 or rtx"
    ):
        load_engine("trt", open_bundle(bundle), slots=1)
    change(bundle, device="jetpack6", flavour="trt-split")
    with pytest.raises(EngineLoadError, match="TensorRT is not installed; it comes with JetPack"):
        load_engine("trt", open_bundle(bundle), slots=1)
