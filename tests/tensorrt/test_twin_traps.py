"""What TensorRT's own parser and builder take and refuse, asked of TensorRT-RTX: if it took everything, that it takes
our graphs would mean nothing.

Some traps it takes without a word: see which, and who catches them instead.
"""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from edgevlm_export.graph.trt.lint import check

from tests.tensorrt.environments import TWINS
from tests.tensorrt.graphs import (
    FP32,
    PROFILE,
    attention_with_presents,
    cache_that_is_no_input,
    causal_with_cache,
    scatter_attention,
)
from tests.tensorrt.run_twin import Answer, run_twin

Build = Callable[[onnx.ModelProto], Answer]


@pytest.fixture(params=TWINS)
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """Builds a graph on a twin."""

    def build(model: onnx.ModelProto) -> Answer:
        path = tmp_path / "graph.onnx"
        onnx.save(model, path)
        profile = {value.name: PROFILE[value.name] for value in model.graph.input}
        [answer] = run_twin(str(request.param), [{"path": str(path), "profile": profile}])
        return answer

    return build


def test_a_cache_updated_in_place_and_attention_with_a_mask_are_built(build: Build) -> None:
    graph = scatter_attention()
    assert build(graph)["sizes"]["plan"] > 100_000
    assert check(graph, (10, 16)) == []


def test_attention_with_past_and_present_is_not_parsed(build: Build) -> None:
    error = build(attention_with_presents())["error"]
    assert "cannot read graph.onnx: node '' (Attention): " in error
    assert "only supports Attention nodes with one output" in error


def test_a_cache_that_is_no_input_is_not_built(build: Build) -> None:
    error = build(cache_that_is_no_input())["error"]
    assert "cannot build graph.onnx: " in error
    assert "The cache tensor must be a network input" in error


def test_attention_in_float32_is_not_built(build: Build) -> None:
    assert "not supported by a dedicated kernel" in build(scatter_attention(FP32))["error"]


def test_a_count_of_valid_keys_is_dropped_and_the_log_says_so(build: Build) -> None:
    """An input of its own: the builder's remark is what our builder fails on."""
    error = build(scatter_attention(lengths="valid"))["error"]
    assert error.endswith(
        "ignores an input of a node of graph.onnx, so the plan would answer wrongly: Unused Input: valid."
    )


def test_a_count_of_valid_keys_that_something_else_uses_too_is_dropped_without_a_word(build: Build) -> None:
    """No check of the log can find it: the exporter's rules refuse to write such a graph."""
    graph = scatter_attention(lengths="length")
    assert "sizes" in build(graph)
    [problem] = check(graph, (10, 16))
    assert "nonpad_kv_seqlen is read and then ignored" in str(problem)


def test_a_causal_mask_over_a_cache_is_taken_without_a_word(build: Build) -> None:
    """Its triangle begins at the first key, so a step would see that one alone: for the exporter's rules too."""
    graph = causal_with_cache()
    assert "sizes" in build(graph)
    [problem] = check(graph, (10, 16))
    assert "is_causal begins at the first key" in str(problem)
