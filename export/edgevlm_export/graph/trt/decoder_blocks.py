"""What both decoder flavours for TensorRT share: positions, the window of the cache, heads. Knows no weights.

Nothing outside says what to mask: the slots' lengths are an input, and the mask is made in the graph. The caller
promises `past_length[b] + S <= W <= C`.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.graph.decoder import hidden_input
from edgevlm_export.graph.writer import GraphWriter

SWAPPED = [0, 2, 1, 3]
"""Heads and positions change places."""


class TrtDecoderParts(ABC):
    """The parts that are the same in both flavours. Inputs: see `write_inputs`."""

    def __init__(self, graph: GraphWriter, config: ModelConfig) -> None:
        self._graph, self._config = graph, config
        self.hidden, self._positions = write_inputs(graph, config)

    @abstractmethod
    def norm(self, hidden: ir.Value, scale: ir.Value) -> ir.Value: ...

    def add_and_norm(self, hidden: ir.Value, update: ir.Value, scale: ir.Value) -> tuple[ir.Value, ir.Value]:
        total = self._graph.op("Add", hidden, update)
        return self.norm(total, scale), total

    def gate(self, packed: ir.Value) -> ir.Value:
        graph, inner = self._graph, self._config.intermediate_size
        gate, up = graph.ops("Split", packed, graph.shape_op([inner, inner]), outputs=2, axis=2)
        return graph.op("Mul", graph.op("Mul", gate, graph.op("Sigmoid", gate)), up)


class Positions(NamedTuple):
    """Where a call stands, int64. `steps` is 0..S-1."""

    past: ir.Value
    """Valid positions in each slot's cache, `[B]`."""
    new: ir.Value
    """Positions of the new tokens in their slots, `[B, S]`."""
    steps: ir.Value
    cached: ir.Value
    """Positions of the cache that are read, 0..W-1."""
    window: ir.Value
    """W, `[1]`."""


def write_inputs(graph: GraphWriter, config: ModelConfig) -> tuple[ir.Value, Positions]:
    """Declare `hidden`, `past_length` int32 `[B]` and `cache_positions` int32 `[W]`, which holds 0..W-1.

    W is the window: that many of the C positions of each slot's cache are read, so a step costs what its longest slot
    needs.
    """
    hidden = hidden_input(graph, config)
    past_length = graph.input("past_length", ("batch",), np.int32)
    cached = graph.input("cache_positions", ("window",), np.int32)
    past = graph.cast(past_length, np.int64)
    zero, one = (graph.constant(np.array(number, np.int64)) for number in (0, 1))
    length = graph.op("Gather", graph.op("Shape", hidden), one, axis=0)
    steps = graph.op("Range", zero, length, one)
    new = graph.op("Add", graph.op("Unsqueeze", past, graph.shape_op([1])), steps)
    return hidden, Positions(past, new, steps, graph.cast(cached, np.int64), graph.op("Shape", cached))


def split_heads(graph: GraphWriter, config: ModelConfig, packed: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Queries, keys and values side by side -> `[B, heads, S, head_dim]`, `[B, kv_heads, S, head_dim]` twice."""
    counts = (config.heads, config.kv_heads, config.kv_heads)
    sizes = graph.shape_op([count * config.head_dim for count in counts])
    parts = graph.ops("Split", packed, sizes, outputs=3, axis=2)
    query, key, value = (
        graph.op("Transpose", graph.op("Reshape", part, graph.shape_op([0, 0, count, config.head_dim])), perm=SWAPPED)
        for part, count in zip(parts, counts, strict=True)
    )
    return query, key, value


def join_heads(graph: GraphWriter, attended: ir.Value, width: int) -> ir.Value:
    """`[B, heads, S, head_dim]` -> `[B, S, width]`."""
    return graph.op("Reshape", graph.op("Transpose", attended, perm=SWAPPED), graph.shape_op([0, 0, width]))


def cut_to_window(graph: GraphWriter, cache: ir.Value, window: ir.Value) -> ir.Value:
    """The first W positions of one side of a layer's cache."""
    return graph.op("Slice", cache, graph.shape_op([0]), window, graph.shape_op([2]))


def scaled(graph: GraphWriter, config: ModelConfig, query: ir.Value) -> ir.Value:
    """Queries over the root of the head's size, before the matmul: its sums stay smaller."""
    return graph.op("Mul", query, graph.scalar(config.head_dim**-0.5))
