"""What goes into each matmul of a model in fp32, over some questions: the rows and ranges that calibration needs."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from edgevlm_engines import Manifest, read_manifest
from edgevlm_engines.bundle import DECODER, EMBEDDING, VISION
from edgevlm_engines.embedding import embedded
from edgevlm_engines.graph_names import cache_sides
from edgevlm_export.graph.rounding import Inputs
from numpy.typing import NDArray

from edgevlm.accuracy.inner_values import InnerValues, matmul_inputs
from edgevlm.accuracy.questions import Questions

ROWS = 256
"""Positions kept of each matmul, over all questions."""

Array = NDArray[np.float32]


def record(bundle: Path, questions: Questions, advance: Callable[[int], None]) -> dict[str, Inputs]:
    """By the names of matmuls. `bundle` is in fp32 for the CPU; `advance` is told of each question."""
    manifest = read_manifest(bundle)
    vision, decoder = (InnerValues(bundle / name, matmul_inputs) for name in (VISION, DECODER))
    embedding = np.load(bundle / EMBEDDING, mmap_mode="r", allow_pickle=False)
    seen_by_encoder, seen_by_decoder = _Seen(questions.pictures), _Seen(questions.number)
    features: Array = np.zeros(0, np.float32)
    for case in questions.cases:
        if not case.shared:
            found = vision.run({"pixels": case.pixels[np.newaxis]}, "features")
            features = found.pop("features")[0]
            seen_by_encoder.add(found)
        seen_by_decoder.add(decoder.run(prompt_inputs(manifest, embedding, case.tokens, features)))
        advance(1)
    return seen_by_encoder.inputs() | seen_by_decoder.inputs()


def record_encoder(path: Path, pictures: Collection[Array], advance: Callable[[int], None]) -> dict[str, Inputs]:
    """The same for a vision encoder alone; pictures are `[3, size, size]`."""
    vision = InnerValues(path, matmul_inputs)
    seen = _Seen(len(pictures))
    for pixels in pictures:
        seen.add(vision.run({"pixels": pixels[np.newaxis]}))
        advance(1)
    return seen.inputs()


def prompt_inputs(
    manifest: Manifest, embedding: NDArray[Any], tokens: NDArray[np.int64], features: Array
) -> dict[str, NDArray[Any]]:
    """The decoder's inputs for a whole prompt at once, in front of an empty cache.

    `embedding` is the bundle's, `[vocab, hidden_size]`; `tokens` `[n]` hold as many image tokens as `features` rows.
    """
    hidden = embedded(embedding, tokens, features, np.float32)
    shape, length = manifest.decoder, len(hidden)
    empty = np.zeros((1, shape.kv_heads, length, shape.head_dim), np.float32)
    cache = {f"past_{side}": empty for side in cache_sides(shape.layers)}
    counts = {"last_position": np.array([length - 1], np.int32), "total_length": np.array(length, np.int32)}
    return {"hidden": hidden[np.newaxis], **counts, **cache}


class _Seen:
    """Some positions of every call, evenly taken, and the range over all of them."""

    def __init__(self, calls: int) -> None:
        self._rows_a_call = -(-ROWS // calls)
        self._rows: dict[str, list[Array]] = {}
        self._ranges: dict[str, tuple[Array, Array]] = {}

    def add(self, values: dict[str, Array]) -> None:
        for name, value in values.items():
            rows = value.reshape(-1, value.shape[-1])
            taken = np.unique(np.linspace(0, len(rows) - 1, self._rows_a_call).astype(int))
            self._rows.setdefault(name, []).append(rows[taken])
            low, high = self._ranges.get(name, (rows[0], rows[0]))
            self._ranges[name] = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))

    def inputs(self) -> dict[str, Inputs]:
        return {name: Inputs(np.concatenate(rows), *self._ranges[name]) for name, rows in self._rows.items()}
