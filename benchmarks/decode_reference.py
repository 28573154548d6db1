"""A decode step in numpy, in float32, and random weights for one. Knows no kernels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from edgevlm_engines.manifest import Decoder
from numpy.typing import NDArray

Halves = NDArray[np.float16]
Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one layer, matrices as `[inputs, outputs]`."""

    input_norm: Halves
    qkv: Halves
    output: Halves
    post_norm: Halves
    gate_up: Halves
    down: Halves


@dataclass(frozen=True, slots=True)
class Stack:
    """All weights; rotary tables as `[positions, head_dim / 2]`."""

    layers: list[Layer]
    norm: Halves
    head: Halves
    cosines: Halves
    sines: Halves


def draw_stack(model: Decoder, positions: int, random: np.random.Generator) -> Stack:
    """Weights that keep activations at about 1."""

    def matrix(inputs: int, outputs: int) -> Halves:
        drawn: Singles = random.standard_normal((inputs, outputs), np.float32)
        return (drawn * np.float32(inputs**-0.5)).astype(np.float16)

    def scales() -> Halves:
        return (1 + 0.1 * random.standard_normal(model.hidden_size)).astype(np.float16)

    width, inner = model.hidden_size, model.intermediate_size
    query, key = model.heads * model.head_dim, model.kv_heads * model.head_dim
    layers = [
        Layer(
            *(scales(), matrix(width, query + 2 * key), matrix(query, width)),
            *(scales(), matrix(width, 2 * inner), matrix(inner, width)),
        )
        for _ in range(model.layers)
    ]
    return Stack(layers, scales(), matrix(width, model.vocab_size), *rope_tables(model, positions))


def rope_tables(model: Decoder, positions: int) -> tuple[Halves, Halves]:
    """Cosines and sines, `[positions, head_dim / 2]`."""
    frequencies = model.rope_theta ** -(np.arange(0, model.head_dim, 2) / model.head_dim)
    angles = np.outer(np.arange(positions), frequencies)
    return np.cos(angles).astype(np.float16), np.sin(angles).astype(np.float16)


def step(
    model: Decoder, stack: Stack, cache: list[tuple[Halves, Halves]], hidden: Halves, lengths: NDArray[Any]
) -> Singles:
    """`[n, hidden_size]`, `[n]` -> logits `[n, vocab_size]`. Writes into the cache, a pair of
    `[slots, kv_heads, capacity, head_dim]` for each layer."""
    stream = hidden.astype(np.float32)
    for layer, (keys, values) in zip(stack.layers, cache, strict=True):
        packed = _norm(model, stream, layer.input_norm) @ layer.qkv.astype(np.float32)
        rows = [
            _attend(model, stack, packed[row], keys[row], values[row], int(length))
            for row, length in enumerate(lengths)
        ]
        stream = stream + np.stack(rows) @ layer.output.astype(np.float32)
        gate_up = _norm(model, stream, layer.post_norm) @ layer.gate_up.astype(np.float32)
        gate, up = np.split(gate_up, 2, axis=1)
        stream = stream + (gate / (1 + np.exp(-gate)) * up) @ layer.down.astype(np.float32)
    logits: Singles = _norm(model, stream, stack.norm) @ stack.head.astype(np.float32)
    return logits


def _norm(model: Decoder, stream: Singles, scales: Halves) -> Singles:
    squares = np.mean(stream**2, axis=1, keepdims=True)
    normed: Singles = stream / np.sqrt(squares + np.float32(model.rms_norm_eps)) * scales.astype(np.float32)
    return normed


def _attend(model: Decoder, stack: Stack, packed: Singles, keys: Halves, values: Halves, length: int) -> Singles:
    """Of one row: `[(heads + 2 kv_heads) * head_dim]` -> `[heads * head_dim]`."""
    vectors = packed.reshape(-1, model.head_dim)
    heads, kv_heads = model.heads, model.kv_heads
    cosines, sines = stack.cosines[length].astype(np.float32), stack.sines[length].astype(np.float32)
    keys[:, length] = _rotated(vectors[heads : heads + kv_heads], cosines, sines)
    values[:, length] = vectors[heads + kv_heads :]
    past = slice(length + 1)
    group = heads // kv_heads
    all_keys = np.repeat(keys[:, past].astype(np.float32), group, axis=0)
    all_values = np.repeat(values[:, past].astype(np.float32), group, axis=0)
    query = _rotated(vectors[:heads], cosines, sines)
    scores = np.einsum("hd,hpd->hp", query, all_keys) / np.sqrt(np.float32(model.head_dim))
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    mixed: Singles = np.einsum("hp,hpd->hd", shares, all_values)
    return mixed.reshape(-1)


def _rotated(vectors: Singles, cosines: Singles, sines: Singles) -> Singles:
    first, second = np.split(vectors, 2, axis=-1)
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)
