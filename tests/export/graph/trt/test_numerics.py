"""Large activations, as real checkpoints have them, come through the float16 graphs for TensorRT.

Measured with onnx's own evaluator, which rounds after every operator and widens nothing by itself; ONNX Runtime's CPU
widens float16 and would hide what overflows. What TensorRT's kernels do inside an operator is not measured here.
"""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from edgevlm_engines.manifest import Flavour
from edgevlm_engines.names import Device
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.exporter import export_bundle
from edgevlm_export.graph.ort.vision import OrtVisionParts
from edgevlm_export.graph.trt.split_decoder import SplitDecoderParts
from edgevlm_export.graph.trt.vision import BasicVisionParts
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from safetensors.numpy import save_file

from tests.conftest import GOLDEN
from tests.export.graph.decoder_graphs import Array, Run, Slots, golden_model, on_onnx_runtime, write_graph

GAIN = 400
"""Two channels of the encoder's first norm are that much larger: the residual stream has values above a thousand."""

Exported = Callable[[Device], Path]

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")]


class RMSNormalization(OpRun):
    """As the standard has it, and TensorRT's parser: in float32. The evaluator's own computes in its input's type."""

    def _run(self, x: Array, scale: Array, axis: int, epsilon: float, stash_type: int) -> tuple[Array]:
        assert (axis, stash_type) == (-1, TensorProto.FLOAT)
        wide = x.astype(np.float32)
        normed = wide / np.sqrt(np.square(wide).mean(axis=-1, keepdims=True) + np.float32(epsilon))
        return (normed.astype(x.dtype) * scale,)


def rounding_everywhere(path: Path) -> Run:
    evaluator = ReferenceEvaluator(str(path), new_ops=[RMSNormalization])
    return lambda feeds: list(evaluator.run(None, feeds))


def in_its_own_type(path: Path) -> Run:
    evaluator = ReferenceEvaluator(str(path))
    return lambda feeds: list(evaluator.run(None, feeds))


def relative(found: Array, wanted: Array) -> float:
    """Root of the mean square of what differs, over that of what was wanted."""
    return float(np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()))


@pytest.fixture(scope="module", params=["v1", "v2"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A golden case whose encoder has two channels of outliers."""
    folder = tmp_path_factory.mktemp("large") / str(request.param)
    shutil.copytree(GOLDEN / request.param, folder)
    # V1's tower is in the CLIP folder, V2's in the checkpoint
    tower = folder / ("clip" if request.param == "v1" else "checkpoint")
    tensors: dict[str, Array] = {one.name: one.read().copy() for one in read_torch_file(tower / "pytorch_model.bin")}
    name = next(name for name in tensors if name.endswith("vision_model.pre_layrnorm.weight"))
    tensors[name][:2] *= GAIN
    (tower / "pytorch_model.bin").unlink()
    save_file(tensors, tower / "model.safetensors")
    return folder


def export(case: Path, folder: Path, device: Device) -> Path:
    export_bundle(
        case / "checkpoint",
        folder,
        vision_tower=case / "clip",
        device=device,
        precision="fp32" if device == "cpu" else "fp16",
        vision_precision="fp32" if device == "cpu" else "fp16",
    )
    return folder


@pytest.fixture(scope="module")
def exported(large: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Its bundle for a device, exported once."""
    return cache(lambda device: export(large, tmp_path_factory.mktemp("large") / device, device))


@pytest.fixture(scope="module")
def pixels(large: Path) -> Array:
    with np.load(large / "ref.npz") as arrays:
        found: Array = arrays["pixel_values"]
    return found


@pytest.fixture(scope="module")
def exact(exported: Exported, pixels: Array) -> Array:
    return on_onnx_runtime(exported("cpu") / "vision.onnx")({"pixels": pixels})[0]


@pytest.mark.parametrize("device", ["jetpack6", "jetpack7"])
def test_outliers_of_the_encoder_come_through(
    exported: Exported, pixels: Array, exact: Array, device: Device
) -> None:
    found = rounding_everywhere(exported(device) / "vision.onnx")({"pixels": pixels})[0]
    assert relative(found, exact) < 2e-3


def test_a_norm_in_float16_would_lose_them(
    large: Path, pixels: Array, exact: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same graph with LayerNorm as it is first written: its squares are infinite."""
    monkeypatch.setattr(BasicVisionParts, "layer_norm", OrtVisionParts.layer_norm)
    monkeypatch.setattr("edgevlm_export.graph.model.lint", lambda path, flavour: None)  # would refuse it
    found = rounding_everywhere(export(large, tmp_path / "bundle", "jetpack6") / "vision.onnx")({"pixels": pixels})[0]
    # V2's features are mostly the outliers themselves, which go around the norms
    assert not relative(found, exact) < 1e-2


def narrow_norm(parts: Any, hidden: ir.Value, scale: ir.Value) -> ir.Value:
    """RMSNorm in the graph's own type."""
    graph = parts._graph
    mean = graph.op("ReduceMean", graph.op("Mul", hidden, hidden), graph.shape_op([-1]), keepdims=1)
    root = graph.op("Sqrt", graph.op("Add", mean, graph.scalar(parts._config.rms_norm_eps)))
    normed: ir.Value = graph.op("Mul", graph.op("Div", hidden, root), scale)
    return normed


def decoded(
    flavour: Flavour, dtype: type[np.floating[Any]], folder: Path, open_graph: Callable[[Path], Run]
) -> Array:
    """Logits after twelve positions with two large channels, from six at once and six steps."""
    model = golden_model("v2")
    with np.load(GOLDEN / "v2" / "ref.npz") as arrays:
        embeddings: Array = arrays["inputs_embeds"][:, :12].copy()
    embeddings[..., :2] *= GAIN / np.abs(embeddings[..., :2]).max()
    path = write_graph(model, flavour, dtype, folder / f"{flavour}.onnx")
    slots = Slots(path, model, flavour, slots=1, open_graph=open_graph)
    logits = [slots.feed(0, embeddings[:, :6]), *(slots.feed(0, embeddings[:, i : i + 1]) for i in range(6, 12))]
    return np.concatenate(logits)


@pytest.mark.parametrize("flavour", ["trt-split", "trt-native"])
def test_outliers_of_the_decoder_come_through(flavour: Flavour, tmp_path: Path) -> None:
    wanted = decoded("ort", np.float32, tmp_path, on_onnx_runtime)
    assert relative(decoded(flavour, np.float16, tmp_path, rounding_everywhere), wanted) < 5e-3


@pytest.mark.parametrize("flavour", ["trt-split", "trt-native"])
def test_norms_in_float16_would_lose_those_too(
    flavour: Flavour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SplitDecoderParts, "norm", narrow_norm)
    wanted = decoded("ort", np.float32, tmp_path, on_onnx_runtime)
    assert not relative(decoded(flavour, np.float16, tmp_path, in_its_own_type), wanted) < 0.1


@pytest.mark.parametrize("device", ["jetpack6", "jetpack7"])
def test_what_sums_or_squares_is_wide_by_its_types(exported: Exported, device: Device) -> None:
    """Also where these inputs are not large enough to show it: no kernel may choose a narrower sum."""
    kinds = set()
    for name in ("vision.onnx", "decoder.onnx"):
        model = onnx.load(exported(device) / name, load_external_data=False)
        graph = onnx.shape_inference.infer_shapes(model).graph
        types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
        for node in graph.node:
            if node.op_type in ("ReduceMean", "LayerNormalization", "Erf") or (
                node.op_type == "Softmax" and name == "decoder.onnx"
            ):
                assert types[node.input[0]] == TensorProto.FLOAT, node.name
                kinds.add(node.op_type)
    assert {"LayerNormalization", "Erf"} <= kinds
    assert ("Softmax" in kinds) == (device == "jetpack6")
