"""Decoder graphs of every flavour, and what an engine does around one, on ONNX Runtime's CPU.

`Slots` stands in for an engine: it keeps the cache, appends what a `trt-split` graph hands out, and binds nothing.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from edgevlm_engines.manifest import Flavour
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.checkpoint.checkpoint import open_checkpoint
from edgevlm_export.checkpoint.config import ModelConfig, load_config
from edgevlm_export.graph.decoder import write_decoder
from edgevlm_export.graph.flavours import PARTS
from edgevlm_export.graph.matmul import MatmulWriter, plain_matmul
from edgevlm_export.graph.precision import FLAVOURS, NATIVE, ORT, SPLIT
from edgevlm_export.graph.weights import Weights
from edgevlm_export.graph.writer import GraphWriter
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tests.conftest import GOLDEN
from tests.tensorrt.jetsons import JETSONS

OPSETS: dict[Flavour, int] = {"ort": ORT, "trt-native": NATIVE, "trt-split": SPLIT}
CAPACITY = 64

EXECUTABLE = tuple(flavour for device, flavour in FLAVOURS.items() if device in JETSONS)
"""Flavours that the runtime here can load. Graphs of the other are written and checked, and not run."""

Array = NDArray[Any]


class Model(NamedTuple):
    """A checkpoint of which only the decoder is used."""

    folder: Path
    config: ModelConfig


def golden_model(case: str) -> Model:
    folder = GOLDEN / case / "checkpoint"
    return Model(folder, load_config(folder, GOLDEN / case / "clip"))


def random_model(folder: Path, heads: int, kv_heads: int, head_dim: int) -> Model:
    """Two layers with random weights: sizes that no golden case has, such as queries that share keys."""
    shutil.copytree(GOLDEN / "v2" / "checkpoint", folder, ignore=shutil.ignore_patterns("*.bin"))
    stated = json.loads((folder / "config.json").read_text())
    stated |= {
        "hidden_size": heads * head_dim,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": 192,
    }
    (folder / "config.json").write_text(json.dumps(stated))
    config = load_config(folder, GOLDEN / "v2" / "clip")
    save_file(_random_tensors(config), folder / "model.safetensors")
    return Model(folder, config)


def _random_tensors(config: ModelConfig) -> dict[str, Array]:
    random = np.random.default_rng(7)
    width, inner, kv = config.hidden_size, config.intermediate_size, config.kv_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {"lm_head.weight": (config.vocab_size, width), "model.norm.weight": (width,)}
    for index in range(config.layers):
        shapes |= {
            f"model.layers.{index}.{name}.weight": shape
            for name, shape in {
                "input_layernorm": (width,),
                "post_attention_layernorm": (width,),
                "self_attn.q_proj": (width, width),
                "self_attn.k_proj": (kv, width),
                "self_attn.v_proj": (kv, width),
                "self_attn.o_proj": (width, width),
                "mlp.gate_proj": (inner, width),
                "mlp.up_proj": (inner, width),
                "mlp.down_proj": (width, inner),
            }.items()
        }
    return {
        name: (random.standard_normal(shape) * (2 / shape[-1]) ** 0.5 if len(shape) > 1 else np.ones(shape)).astype(
            np.float16
        )
        for name, shape in shapes.items()
    }


def write_graph(
    model: Model,
    flavour: Flavour,
    dtype: type[np.floating[Any]],
    path: Path,
    matmul: MatmulWriter = plain_matmul,
    opset: int = 0,
) -> Path:
    """The decoder in any flavour and type: exported bundles have no flavour for TensorRT in float32."""
    graph = GraphWriter("decoder", dtype, opset or OPSETS[flavour])
    weights = Weights(graph, open_checkpoint(model.folder), "", matmul)
    write_decoder(graph, PARTS[flavour].decoder(graph, model.config), weights, weights, model.config)
    graph.save(path, Progress().advance)
    return path


Run = Callable[[dict[str, Array]], list[Array]]


def on_onnx_runtime(path: Path) -> Run:
    """Runs a graph as ONNX Runtime's CPU does: all outputs, in their order."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda feeds: list(session.run(None, feeds))


class Slots:
    """Slots of a decoder's cache, each as long as what was fed to it. `garbage` lies where nothing was written."""

    def __init__(
        self,
        path: Path,
        model: Model,
        flavour: Flavour,
        slots: int = 3,
        capacity: int = CAPACITY,
        garbage: float = 0,
        open_graph: Callable[[Path], Run] = on_onnx_runtime,
    ) -> None:
        graph = onnx.load(path, load_external_data=False).graph
        self._run, self._names = open_graph(path), [value.name for value in graph.output]
        self._flavour, self._capacity = flavour, capacity
        config = model.config
        self.dtype = onnx.helper.tensor_dtype_to_np_dtype(graph.input[0].type.tensor_type.elem_type)
        names = [f"{side}.{layer}" for layer in range(config.layers) for side in ("key", "value")]
        shape = (slots, config.kv_heads, capacity, config.head_dim)
        self.cache = {name: np.full(shape, garbage, self.dtype) for name in names}
        self.lengths = np.zeros(slots, np.int32)

    def feed(self, first: int, hidden: Array, window: int | None = None) -> Array:
        """New positions `[n, S, hidden_size]` to slots `first..first+n-1`; logits of the last ones, `[n, vocab]`."""
        slots = slice(first, first + len(hidden))
        past, count = self.lengths[slots], hidden.shape[1]
        feeds = {f"past_{name}": side[slots] for name, side in self.cache.items()}
        feeds["hidden"] = hidden.astype(self.dtype)
        if self._flavour == "ort":
            feeds |= {"last_position": past + count - 1, "total_length": np.array(past.max() + count, np.int32)}
        else:
            window = window or int(past.max()) + count
            feeds |= {"past_length": past, "cache_positions": np.arange(window, dtype=np.int32)}
        found = dict(zip(self._names, self._run(feeds), strict=True))
        for name, side in self.cache.items():
            if self._flavour == "trt-split":
                self._append(side[slots], past, found[f"new_{name}"])
            else:
                side[slots] = found[f"present_{name}"]
        self.lengths[slots] += count
        logits: Array = found["logits"]
        return logits

    def _append(self, side: Array, past: Array, new: Array) -> None:
        for slot, start in enumerate(past):
            assert start + new.shape[2] <= self._capacity
            side[slot, :, start : start + new.shape[2]] = new[slot]
