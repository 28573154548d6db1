"""The decode kernels against numpy, on this processor: what they compute, and that a row's bits are its own."""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from edgevlm_engines.cuda.decode_launches import (
    LayerWeights,
    Matmul,
    Scratch,
    StepCache,
    StepEnds,
    StepLaunches,
    StepShape,
    StepWeights,
    supported,
)
from edgevlm_engines.manifest import Decoder
from numpy.typing import NDArray

from benchmarks.decode_reference import Halves, Layer, Singles, Stack, draw_stack, step
from tests.engines.kernels import host

CAPACITY = 320
LENGTHS = np.array([300, 0, 63, 64, 5, 130, 1, 319, 15, 16, 17, 33, 257, 2, 100, 128, 40])


def model(**changed: int) -> Decoder:
    """The smallest in which every loop runs more than once."""
    sizes = {"hidden_size": 192, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 80}
    other = {"intermediate_size": 216, "vocab_size": 328, "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
    return Decoder.model_validate(sizes | other | changed)


SHAPES = {
    "dim 80, grouped heads": model(),
    "dim 64": model(layers=1, heads=3, kv_heads=3, head_dim=64),
    "smaller than a tile": model(layers=1, heads=2, kv_heads=1, head_dim=8, hidden_size=32, vocab_size=24),
    "dim 128, one group": model(layers=1, heads=2, kv_heads=1, head_dim=128, hidden_size=256),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctypes.CDLL]:
    yield host.build(tmp_path_factory.mktemp("kernels"))


class Divided(StepShape):
    """Every matmul in as many stretches as there are processors: models that small would have one."""

    def stretches(self, matmul: Matmul) -> int:
        return self.processors


class HostStep:
    """A model with a past in every slot, in this process's memory."""

    def __init__(self, library: ctypes.CDLL, shape: Decoder, stretches: int) -> None:
        random = np.random.default_rng(0)
        self.model, self._library = shape, library
        self.stack = draw_stack(shape, CAPACITY, random)
        cache = (2, shape.layers, len(LENGTHS), shape.kv_heads, CAPACITY, shape.head_dim)
        self.past = random.standard_normal(cache, np.float32).astype(np.float16)
        self.hidden = random.standard_normal((len(LENGTHS), shape.hidden_size), np.float32).astype(np.float16)
        self._held: list[NDArray[Any]] = []
        self._weights = self._put_weights(self.stack)
        self._shape = Divided(shape, stretches)

    def run(
        self, rows: list[int], *, backwards: bool = False, lengths: NDArray[np.int64] = LENGTHS
    ) -> tuple[Singles, Halves]:
        """These rows of the material, in slots `0..n-1`: logits and cache after the step."""
        count = len(rows)
        # what is not a past is poison
        cache = host.aligned(self.past[:, :, rows])
        for slot, row in enumerate(rows):
            cache[:, :, slot, :, lengths[row] :] = np.nan
        hidden, own_lengths = host.aligned(self.hidden[rows]), lengths[rows].astype(np.int32)
        logits = np.full((count, self.model.vocab_size), np.nan, np.float32)
        scratch = Scratch(self._shape)
        memory = host.aligned(np.full(scratch.size, 0xFF, np.uint8))
        scratch.base = memory.ctypes.data
        counters = scratch["counters"] - scratch.base
        memory[counters:] = 0
        keys, values = ([layer.ctypes.data for layer in side] for side in cache)
        ends = StepEnds(hidden.ctypes.data, own_lengths.ctypes.data, logits.ctypes.data)
        launches = StepLaunches(self._shape, self._weights, StepCache(keys, values, CAPACITY), ends, scratch)
        for launch in launches.over(count):
            host.run(self._library, launch, backwards=backwards)
        assert not memory[counters:].any(), "counters are left as they were"
        return logits, cache

    def wanted(self, rows: list[int]) -> tuple[Singles, Halves]:
        """The same from numpy."""
        cache = self.past[:, :, rows].copy()
        for slot, row in enumerate(rows):
            cache[:, :, slot, :, LENGTHS[row] :] = np.nan
        pairs = [(cache[0, layer], cache[1, layer]) for layer in range(self.model.layers)]
        return step(self.model, self.stack, pairs, self.hidden[rows], LENGTHS[rows]), cache

    def _put(self, array: NDArray[Any]) -> int:
        self._held.append(host.aligned(array))
        return int(self._held[-1].ctypes.data)

    def _put_weights(self, stack: Stack) -> StepWeights:
        layers = [self._put_layer(layer) for layer in stack.layers]
        tables = (stack.norm, stack.head, stack.cosines, stack.sines)
        return StepWeights(layers, *map(self._put, tables))

    def _put_layer(self, layer: Layer) -> LayerWeights:
        names = ("input_norm", "qkv", "output", "post_norm", "gate_up", "down")
        return LayerWeights(*(self._put(getattr(layer, name)) for name in names))


def error(found: Singles | Halves, wanted: Singles | Halves) -> float:
    """Relative; NaN where one has it and the other not."""
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    difference = np.nan_to_num(found.astype(np.float64) - wanted)
    return float(np.linalg.norm(difference) / np.linalg.norm(np.nan_to_num(wanted.astype(np.float64))))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 3, 8, 16, 17])
def test_any_number_of_rows_matches_numpy(library: ctypes.CDLL, rows: int) -> None:
    tried = HostStep(library, SHAPES["dim 80, grouped heads"], stretches=3)
    logits, cache = tried.run(list(range(rows)))
    wanted, wanted_cache = tried.wanted(list(range(rows)))
    assert error(logits, wanted) < 2e-3
    assert error(cache, wanted_cache) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_matches_numpy(library: ctypes.CDLL, name: str) -> None:
    tried = HostStep(library, SHAPES[name], stretches=1)
    logits, cache = tried.run([7, 0, 1])
    wanted, wanted_cache = tried.wanted([7, 0, 1])
    assert error(logits, wanted) < 2e-3
    assert error(cache, wanted_cache) < 1e-3


@pytest.mark.slow
def test_a_rows_bits_do_not_depend_on_company_place_or_order_of_blocks(library: ctypes.CDLL) -> None:
    tried = HostStep(library, SHAPES["dim 80, grouped heads"], stretches=3)
    together, cache = tried.run(list(range(17)))
    for row in (0, 1, 7, 12):
        alone, own_cache = tried.run([row])
        assert np.array_equal(alone[0], together[row])
        assert np.array_equal(own_cache[:, :, 0], cache[:, :, row], equal_nan=True)
    mixed = [16, 12, 3, 0, 1, 9, 9, 7, 5, 0]
    assert np.array_equal(tried.run(mixed, backwards=True)[0], together[mixed])


def test_matmuls_are_divided_until_they_fill_the_device() -> None:
    large = model(hidden_size=2048, heads=16, kv_heads=16, head_dim=128, intermediate_size=5632, vocab_size=32000)
    assert [StepShape(large, 132).stretches(matmul) for matmul in StepShape(large, 132).matmuls()] == [2, 4, 3, 8, 1]
    assert [StepShape(large, 16).stretches(matmul) for matmul in StepShape(large, 16).matmuls()] == [1] * 5


def test_unsupported_shapes_are_told() -> None:
    assert supported(model())
    for odd in (
        {"hidden_size": 200},
        {"intermediate_size": 100},
        {"vocab_size": 1001},
        {"head_dim": 60},
        {"head_dim": 256},
    ):
        assert not supported(model(**odd))
