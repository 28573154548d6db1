"""Bundles for Jetson, exported from the golden cases: what is in them, and what their graphs answer.

The graphs run on ONNX Runtime's CPU, which says nothing of what TensorRT computes on the device.
"""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from edgevlm_engines import IMAGE_TOKEN, EngineLoadError, open_bundle, read_manifest
from edgevlm_engines.manifest import Flavour
from edgevlm_engines.names import Device, Precision
from edgevlm_engines.ort.engine import OrtEngine
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.errors import ExportError
from edgevlm_export.exporter import export_bundle
from edgevlm_export.graph.precision import FLAVOURS, RUNS

from tests.conftest import CASES, GOLDEN
from tests.export.graph.decoder_graphs import EXECUTABLE, Array, Slots, golden_model
from tests.export.graph.trt.conftest import WIDE, TrtBundles

JETSONS: tuple[Device, ...] = ("jetpack6", "jetpack7")
OPSETS = {
    ("jetpack6", "fp16"): 18,
    ("jetpack6", "int8"): 19,
    ("jetpack6", "int4"): 21,
    ("jetpack7", "fp16"): 24,
    ("jetpack7", "int8"): 24,
    ("jetpack7", "int4"): 24,
}


def reference(case: str) -> dict[str, Array]:
    with np.load(GOLDEN / case / "ref.npz") as arrays:
        return dict(arrays)


def runnable(device: Device) -> Flavour | None:
    return FLAVOURS[device] if FLAVOURS[device] in EXECUTABLE else None


def features(bundle: Path, pixels: Array) -> Array:
    session = onnxruntime.InferenceSession(bundle / "vision.onnx", providers=["CPUExecutionProvider"])
    found: Array = session.run(["features"], {"pixels": pixels})[0]
    return found


@pytest.mark.parametrize("device", JETSONS)
@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
def test_a_bundle_says_what_it_is_for(trt_bundles: TrtBundles, device: Device, precision: Precision) -> None:
    bundle = open_bundle(trt_bundles(WIDE, device, precision))
    manifest = bundle.manifest
    assert (manifest.device, manifest.flavour) == (device, FLAVOURS[device])
    assert (manifest.precision, manifest.vision_precision) == (precision, "fp16")
    decoder = onnx.load(bundle.folder / "decoder.onnx", load_external_data=False)
    # no domain but the standard's own: TensorRT knows no other
    assert [(one.domain, one.version) for one in decoder.opset_import] == [("", OPSETS[device, precision])]


@pytest.mark.slow
@pytest.mark.parametrize("device", JETSONS)
def test_the_graphs_have_the_inputs_and_outputs_that_an_engine_binds(trt_bundles: TrtBundles, device: Device) -> None:
    decoder = onnx.load(trt_bundles("v2", device) / "decoder.onnx", load_external_data=False).graph
    cache = ["batch", 4, "capacity", 16]
    inputs = {value.name: described(value) for value in decoder.input}
    outputs = {value.name: described(value) for value in decoder.output}
    past = {f"past_{side}.{layer}": ("FLOAT16", cache) for layer in range(2) for side in ("key", "value")}
    assert inputs == {
        "hidden": ("FLOAT16", ["batch", "sequence", 64]),
        "past_length": ("INT32", ["batch"]),
        "cache_positions": ("INT32", ["window"]),
        **past,
    }
    new = {
        "jetpack6": {name.replace("past", "new"): ("FLOAT16", ["batch", 4, "sequence", 16]) for name in past},
        "jetpack7": {name.replace("past", "present"): shaped for name, shaped in past.items()},
    }
    assert outputs == {"logits": ("FLOAT", ["batch", 400]), **new[device]}
    vision = onnx.load(trt_bundles("v2", device) / "vision.onnx", load_external_data=False).graph
    assert [described(value) for value in vision.input] == [("FLOAT", ["images", 3, 336, 336])]
    assert [described(value) for value in vision.output] == [("FLOAT", ["images", 144, 64])]


def described(value: onnx.ValueInfoProto) -> tuple[str, list[str | int]]:
    tensor = value.type.tensor_type
    sizes = [size.dim_param or size.dim_value for size in tensor.shape.dim]
    return onnx.TensorProto.DataType.Name(tensor.elem_type), sizes


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", JETSONS)
def test_every_graph_passes_onnx_own_checker(trt_bundles: TrtBundles, case: str, device: Device) -> None:
    for name in ("vision.onnx", "decoder.onnx"):
        onnx.checker.check_model(trt_bundles(case, device) / name, full_check=True)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", [device for device in JETSONS if runnable(device)])
def test_features_are_as_near_to_upstreams_as_its_rounding(
    trt_bundles: TrtBundles, bundles: Callable[[str], Path], case: str, device: Device
) -> None:
    """A hundredth of a per cent of the largest feature is a tenth of float16's own step there."""
    wanted = reference(case)
    found = features(trt_bundles(case, device), wanted["pixel_values"])
    error = found - wanted["image_features"]
    assert np.square(error).mean() ** 0.5 < 1e-3 * np.abs(wanted["image_features"]).max() ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", [device for device in JETSONS if runnable(device)])
def test_float16_logits_of_every_position_are_nearer_than_upstreams(
    trt_bundles: TrtBundles, case: str, device: Device
) -> None:
    """Nearer to upstream's float32 than upstream's float16 is."""
    wanted = reference(case)
    embeddings = wanted["inputs_embeds"]
    slots = Slots(
        trt_bundles(case, device) / "decoder.onnx", golden_model(case), FLAVOURS[device], slots=1, capacity=256
    )
    found = np.stack([slots.feed(0, embeddings[:, i : i + 1])[0] for i in range(embeddings.shape[1])])
    exact = wanted["logits"][0]
    assert np.square(found - exact).mean() <= np.square(wanted["logits_f16"][0] - exact).mean()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", [device for device in JETSONS if runnable(device)])
def test_a_picture_and_a_question_get_upstreams_answer(trt_bundles: TrtBundles, case: str, device: Device) -> None:
    bundle, wanted = trt_bundles(case, device), reference(case)
    table = np.load(bundle / "embedding.npy")
    ids = wanted["input_ids"].ravel()
    at = int(np.flatnonzero(ids == IMAGE_TOKEN)[0])
    picture = features(bundle, wanted["pixel_values"])[0]
    hidden = np.concatenate([table[ids[:at]], picture, table[ids[at + 1 :]]])[np.newaxis]
    slots = Slots(bundle / "decoder.onnx", golden_model(case), FLAVOURS[device], slots=1, capacity=320)
    for start in range(0, hidden.shape[1], 64):
        logits = slots.feed(0, hidden[:, start : start + 64], window=256)
    answer = [int(logits.argmax())]
    for _ in range(15):
        answer.append(int(slots.feed(0, table[answer[-1:]][np.newaxis])[0].argmax()))
    assert answer == wanted["new_ids_f16"].ravel().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("device", [device for device in JETSONS if runnable(device)])
@pytest.mark.parametrize(("precision", "least"), [("int8", 0.98), ("int4", 0.7)])
def test_small_weights_stay_near_the_exact_ones(
    trt_bundles: TrtBundles, device: Device, precision: Precision, least: float
) -> None:
    """Random weights amplify what is rounded away: in `ort`'s int4 this case has no more than 0.78."""
    model, embeddings = golden_model(WIDE), reference(WIDE)["inputs_embeds"][:, :60]
    exact, near = (
        np.stack([slots.feed(0, embeddings[:, i : i + 1])[0] for i in range(60)]).ravel()
        for slots in (
            Slots(trt_bundles(WIDE, device, one) / "decoder.onnx", model, FLAVOURS[device], slots=1)
            for one in ("fp16", precision)
        )
    )
    cosine = float(exact @ near / np.linalg.norm(exact) / np.linalg.norm(near))
    assert least < cosine < 1


def test_small_weights_are_small_on_disk(trt_bundles: TrtBundles) -> None:
    sizes = [(trt_bundles(WIDE, "jetpack7", one) / "decoder.data").stat().st_size for one in ("fp16", "int8", "int4")]
    # head and tables keep their size in int4
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.75 * sizes[1]


def test_int4_lies_in_the_file_as_it_was_rounded(trt_bundles: TrtBundles) -> None:
    """Two weights a byte, and the runtime's dequantised weights near the checkpoint's."""
    folder = trt_bundles(WIDE, "jetpack7", "int4")
    tensors = {tensor.name: tensor for tensor in onnx.load(folder / "decoder.onnx").graph.initializer}
    name = "model.layers.0.self_attn.o_proj.weight"
    assert tensors[name].data_type == onnx.TensorProto.INT4
    assert len(tensors[name].raw_data) == 160 * 160 // 2
    codes, scales = (onnx.numpy_helper.to_array(tensors[one]) for one in (name, f"{name}.scale"))
    [stored] = [
        one.read() for one in read_torch_file(GOLDEN / WIDE / "checkpoint" / "pytorch_model.bin") if one.name == name
    ]
    exact = as_float16_array(stored).T
    assert scales.shape == (5, 160) and scales.dtype == np.float16
    restored = codes.astype(np.float32).reshape(5, 32, 160) * scales.astype(np.float32)[:, np.newaxis]
    error = restored.reshape(160, 160) - exact
    assert np.square(error).mean() < 0.015 * np.square(exact).mean()


def as_float16_array(stored: Array) -> Array:
    return stored.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("device", JETSONS)
def test_int4_of_sizes_without_whole_blocks_is_refused(device: Device, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"176 inputs must be whole blocks of 32.*choose --precision int8"):
        export_bundle(
            GOLDEN / "v2" / "checkpoint",
            tmp_path / "bundle",
            vision_tower=GOLDEN / "v2" / "clip",
            device=device,
            precision="int4",
            vision_precision="fp16",
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", JETSONS)
def test_onnx_runtime_refuses_a_bundle_for_tensorrt(trt_bundles: TrtBundles, device: Device) -> None:
    bundle = open_bundle(trt_bundles("v2", device))
    with pytest.raises(EngineLoadError, match=rf"made for {device} and runs on TensorRT alone"):
        OrtEngine(bundle, slots=1, max_length=200)


def test_every_device_has_a_flavour_and_every_flavour_a_device() -> None:
    assert set(FLAVOURS.values()) == set(get_args(Flavour))
    assert all(RUNS[device] == (("fp16", "int8", "int4"), ("fp16", "fp32")) for device in JETSONS)


def test_a_bundle_in_float32_vision_keeps_its_pixels_exact(tmp_path: Path) -> None:
    case = GOLDEN / "v2"
    for device in JETSONS:
        manifest = export_bundle(
            case / "checkpoint",
            tmp_path / device,
            vision_tower=case / "clip",
            device=device,
            precision="fp16",
            vision_precision="fp32",
        )
        assert read_manifest(tmp_path / device) == manifest
        if runnable(device):
            wanted = reference("v2")
            found = features(tmp_path / device, wanted["pixel_values"])
            np.testing.assert_allclose(found, wanted["image_features"], atol=1e-3)
