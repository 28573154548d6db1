"""The decode kernels on exported weights, beside ONNX Runtime on the same cache; and where the weights are found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from edgevlm_engines import open_bundle
from edgevlm_engines.cuda.decode_launches import (
    Scratch,
    StepCache,
    StepEnds,
    StepLaunches,
    StepShape,
    placed,
    supported,
)
from edgevlm_engines.engine import Tokens
from edgevlm_engines.manifest import Decoder
from edgevlm_engines.ort.decoder import OrtDecoder
from edgevlm_engines.ort.initializers import read_initializers

from benchmarks.decode_reference import Halves, Singles
from tests.engines.kernels import host

pytestmark = pytest.mark.slow

CASES = ("v1", "v2", "v2-headdim80-bf16")
CAPACITY = 256


@pytest.fixture(scope="module", params=CASES)
def folder(device_bundles: Callable[[str, str], Path], request: pytest.FixtureRequest) -> Path:
    return device_bundles(str(request.param), "cuda")


def test_constants_are_found_as_onnx_finds_them(folder: Path) -> None:
    path = folder / "decoder.onnx"
    found = read_initializers(path)
    wanted = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], array) for name, array in wanted.items())


def test_a_step_gives_what_onnx_runtime_gives_on_the_same_cache(folder: Path, tmp_path: Path) -> None:
    bundle = open_bundle(folder)
    manifest = bundle.manifest
    model = manifest.decoder
    assert supported(model)
    session = onnxruntime.InferenceSession(str(bundle.path("decoder.onnx")), providers=["CPUExecutionProvider"])
    decoder = OrtDecoder(session, manifest, 3, CAPACITY, "cpu")
    embedding = np.load(bundle.path("embedding.npy"))
    lengths = np.array([70, 9, 200])
    tokens = np.random.default_rng(0).integers(0, model.vocab_size, (3, 201))
    for slot, length in enumerate(lengths):
        decoder.run(slot, embedding[tokens[slot, :length]][np.newaxis], np.array([length - 1]))
    hidden = host.aligned(embedding[tokens[:, -1]])
    ours = _our_step(tmp_path, folder, model, decoder, hidden, lengths)
    wanted = decoder.run(0, hidden[:, np.newaxis], lengths)
    assert np.abs(ours - wanted).max() < 1e-2 * np.abs(wanted).max()
    assert np.array_equal(ours.argmax(axis=1), wanted.argmax(axis=1))


def _our_step(
    tmp_path: Path, folder: Path, model: Decoder, decoder: OrtDecoder, hidden: Halves, lengths: Tokens
) -> Singles:
    held: list[Halves] = []

    def put(array: Halves) -> int:
        held.append(host.aligned(array))
        return int(held[-1].ctypes.data)

    shape = StepShape(model, 4)
    scratch = Scratch(shape)
    memory = host.aligned(np.zeros(scratch.size, np.uint8))
    scratch.base = memory.ctypes.data
    logits = np.full((len(hidden), model.vocab_size), np.nan, np.float32)
    own_lengths = lengths.astype(np.int32)
    sides = [[decoder.cache.pointer(2 * layer + side, 0) for layer in range(model.layers)] for side in (0, 1)]
    ends = StepEnds(hidden.ctypes.data, own_lengths.ctypes.data, logits.ctypes.data)
    weights = placed(read_initializers(folder / "decoder.onnx"), model.layers, put)
    launches = StepLaunches(shape, weights, StepCache(sides[0], sides[1], CAPACITY), ends, scratch)
    library = host.build(tmp_path)
    for launch in launches.over(len(hidden)):
        host.run(library, launch)
    return logits
