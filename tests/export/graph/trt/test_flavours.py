"""Both decoder flavours for TensorRT compute what the `ort` graph and upstream compute, on ONNX Runtime's CPU."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgevlm_engines.manifest import Flavour

from tests.export.graph.decoder_graphs import (
    CAPACITY,
    EXECUTABLE,
    Array,
    Model,
    Slots,
    golden_model,
    random_model,
    write_graph,
)

pytestmark = pytest.mark.slow

SHAPES = {
    "heads of 16": partial(golden_model, "v2"),
    "heads of 80": partial(golden_model, "v2-headdim80-bf16"),
    "heads of 128": partial(random_model, heads=2, kv_heads=2, head_dim=128),
    "4 heads of 128 on 2": partial(random_model, heads=4, kv_heads=2, head_dim=128),
    "4 heads of 80 on 1": partial(random_model, heads=4, kv_heads=1, head_dim=80),
}
LENGTHS = (3, 21, 9)
STEPS = 4

MakeSlots = Callable[..., Slots]


@pytest.fixture(scope="module", params=SHAPES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    made = SHAPES[request.param]
    return made(tmp_path_factory.mktemp("model") / "checkpoint") if made.func is random_model else made()


@pytest.fixture(scope="module")
def slots(model: Model, tmp_path_factory: pytest.TempPathFactory) -> MakeSlots:
    """Slots of this model in a flavour and a type; each graph is written once."""
    paths: dict[tuple[Flavour, type], Path] = {}

    def made(flavour: Flavour, dtype: type[np.floating[Any]] = np.float32, **options: Any) -> Slots:
        key = (flavour, dtype)
        if key not in paths:
            paths[key] = write_graph(model, flavour, dtype, tmp_path_factory.mktemp("graph") / "decoder.onnx")
        return Slots(paths[key], model, flavour, **options)

    return made


def embeddings(model: Model, slots: int, count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((slots, count, model.config.hidden_size)).astype(np.float32)


def followed(model: Model, slots: Slots, *, chunk: int = 64, extra_window: int = 0) -> Array:
    """Prompts of several lengths, each alone and in chunks, then steps of all slots: `[1 + STEPS, slots, vocab]`."""
    prompts = []
    for slot, length in enumerate(LENGTHS):
        prompt = embeddings(model, 1, length, seed=slot)
        for start in range(0, length, chunk):
            part = prompt[:, start : start + chunk]
            logits = slots.feed(slot, part, min(start + part.shape[1] + extra_window, CAPACITY))
        prompts.append(logits)
    steps = [
        slots.feed(0, embeddings(model, len(LENGTHS), 1, seed=10 + step), min(22 + step + extra_window, CAPACITY))
        for step in range(STEPS)
    ]
    return np.stack([np.concatenate(prompts), *steps])


@pytest.mark.parametrize(("head_dim", "operators"), [(16, {"Attention"}), (128, {"Attention"}), (80, {"Softmax"})])
def test_attention_is_written_out_for_heads_without_a_kernel(
    head_dim: int, operators: set[str], tmp_path: Path
) -> None:
    model = random_model(tmp_path / "checkpoint", heads=2, kv_heads=1, head_dim=head_dim)
    path = write_graph(model, "trt-native", np.float16, tmp_path / "decoder.onnx")
    found = {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
    assert found & {"Attention", "Softmax"} == operators
    assert {"TensorScatter", "RotaryEmbedding", "RMSNormalization"} <= found


def test_both_flavours_run_here() -> None:
    """But on Python 3.10, whose last ONNX Runtime cannot load opset 24."""
    assert set(EXECUTABLE) == {"trt-split"} | ({"trt-native"} if sys.version_info >= (3, 11) else set())


@pytest.mark.parametrize("flavour", EXECUTABLE)
def test_in_float32_they_compute_what_ort_computes(model: Model, slots: MakeSlots, flavour: Flavour) -> None:
    wanted, found = followed(model, slots("ort")), followed(model, slots(flavour))
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("flavour", EXECUTABLE)
@pytest.mark.parametrize("chunk", [1, 5])
def test_a_prompt_in_chunks_is_the_prompt_at_once(
    model: Model, slots: MakeSlots, flavour: Flavour, chunk: int
) -> None:
    whole, chunked = followed(model, slots(flavour)), followed(model, slots(flavour), chunk=chunk)
    np.testing.assert_allclose(chunked, whole, atol=2e-5 * np.abs(whole).max(), rtol=0)


@pytest.mark.parametrize("flavour", EXECUTABLE)
@pytest.mark.parametrize("extra", [1, 17, CAPACITY])
def test_a_wider_window_changes_nothing(model: Model, slots: MakeSlots, flavour: Flavour, extra: int) -> None:
    narrow, wide = followed(model, slots(flavour)), followed(model, slots(flavour), extra_window=extra)
    np.testing.assert_allclose(wide, narrow, atol=2e-5 * np.abs(narrow).max(), rtol=0)


@pytest.mark.parametrize(
    ("flavour", "dtype", "garbage"),
    [
        (flavour, dtype, garbage)
        for flavour in EXECUTABLE
        for dtype in (np.float32, np.float16)
        for garbage in (99, 6e4, np.inf, np.nan)
        # the runtime's Attention adds its mask, and a score of two large numbers is infinite in float16; what an
        # engine leaves in unused positions are zeros and older keys
        if flavour == "trt-split" or garbage == 99 or (dtype, garbage) == (np.float32, 6e4)
    ],
)
def test_what_lies_in_unused_slots_changes_nothing(
    model: Model, slots: MakeSlots, flavour: Flavour, dtype: type[np.floating[Any]], garbage: float
) -> None:
    clean = followed(model, slots(flavour, dtype), extra_window=CAPACITY)
    dirty = followed(model, slots(flavour, dtype, garbage=garbage), extra_window=CAPACITY)
    np.testing.assert_array_equal(dirty, clean)


@pytest.mark.parametrize("flavour", EXECUTABLE)
def test_rows_of_different_lengths_get_what_they_get_alone(model: Model, slots: MakeSlots, flavour: Flavour) -> None:
    """Also with several new positions a slot."""
    together, alone = slots(flavour), [slots(flavour) for _ in LENGTHS]
    for slot, length in enumerate(LENGTHS):
        together.feed(slot, embeddings(model, 1, length, seed=slot))
        alone[slot].feed(0, embeddings(model, 1, length, seed=slot))
    for step, count in enumerate((1, 6, 1)):
        new = embeddings(model, len(LENGTHS), count, seed=20 + step)
        found = together.feed(0, new)
        for slot, one in enumerate(alone):
            wanted = one.feed(0, new[slot : slot + 1])[0]
            np.testing.assert_allclose(found[slot], wanted, atol=2e-5 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("flavour", EXECUTABLE)
def test_the_cache_holds_what_ort_would_hold(model: Model, slots: MakeSlots, flavour: Flavour) -> None:
    """Keys after rotary embedding: so slots can be copied and moved alike, whatever runs them."""
    wanted, found = slots("ort"), slots(flavour)
    followed(model, wanted)
    followed(model, found)
    np.testing.assert_array_equal(found.lengths, wanted.lengths)
    for name, side in wanted.cache.items():
        for slot, length in enumerate(wanted.lengths):
            np.testing.assert_allclose(found.cache[name][slot, :, :length], side[slot, :, :length], atol=1e-4)


@pytest.mark.parametrize("flavour", EXECUTABLE)
def test_float16_is_as_near_as_its_rounding(model: Model, slots: MakeSlots, flavour: Flavour) -> None:
    """Beside `ort` in float16, which rounds elsewhere."""
    exact = followed(model, slots("ort"))
    near, other = followed(model, slots(flavour, np.float16)), followed(model, slots("ort", np.float16))
    assert 0 < np.square(near - exact).mean() <= 1.5 * np.square(other - exact).mean()


@pytest.mark.parametrize("flavour", ["trt-native", "trt-split"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_graphs_pass_onnx_own_checker(
    model: Model, flavour: Flavour, dtype: type[np.floating[Any]], tmp_path: Path
) -> None:
    """Types and shapes of every value are inferred, and agree with what is stated of inputs and outputs."""
    path = write_graph(model, flavour, dtype, tmp_path / "decoder.onnx")
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.load(path, load_external_data=False).graph
    assert len({node.name for node in graph.node}) == len(graph.node)
