"""A decode step as a list of kernel launches: five a layer. Knows shapes and addresses, and calls no CUDA.

The kernels are in `decode_kernels.cu`, which says what each takes and why a row's bits depend on that row alone.
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from edgevlm_engines.manifest import Decoder

ROWS = 16
"""Rows that one pass over the weights serves; the kernels have 16 columns of activations at most."""

# as in decode_kernels.cu
WARPS, TILE, DEPTH, CHUNKS, ATTENTION_THREADS, MOST_DIM = 8, 64, 32, 8, 256, 128
BEGIN_THREADS = 256
PREFETCHED = 2
"""Pieces of weights that a warp has on their way: fewer for each would leave some of that unused."""

WAVE = 2
"""Blocks of a matmul that a multiprocessor holds at once."""


def supported(model: Decoder) -> bool:
    """Whether the kernels take this shape."""
    return (
        model.hidden_size % DEPTH == 0
        and model.head_dim % 8 == 0
        and all(size % 8 == 0 for size in (model.intermediate_size, model.vocab_size))
        and model.head_dim <= MOST_DIM
        and model.heads % model.kv_heads == 0
    )


class LayerWeights(NamedTuple):
    """Addresses of a layer's float16 weights, matrices as `[inputs, outputs]`."""

    input_norm: int
    qkv: int
    output: int
    post_norm: int
    gate_up: int
    down: int


class StepWeights(NamedTuple):
    """Addresses of all weights; `cosines` and `sines` `[max_length, head_dim / 2]`, float16 too."""

    layers: Sequence[LayerWeights]
    norm: int
    head: int
    cosines: int
    sines: int


def placed(arrays: Mapping[str, NDArray[Any]], layers: int, put: Callable[[NDArray[Any]], int]) -> StepWeights:
    """The weights of a decoder's graph by the names that export gives them; `put` brings one to its address.

    Raises `KeyError` for one that is missing.
    """

    def named(name: str) -> int:
        return put(arrays[name])

    def layer(index: int) -> LayerWeights:
        below = f"model.layers.{index}"
        return LayerWeights(
            input_norm=named(f"{below}.input_layernorm.weight"),
            qkv=named(f"{below}.self_attn.qkv_proj.weight"),
            output=named(f"{below}.self_attn.o_proj.weight"),
            post_norm=named(f"{below}.post_attention_layernorm.weight"),
            gate_up=named(f"{below}.mlp.gate_up_proj.weight"),
            down=named(f"{below}.mlp.down_proj.weight"),
        )

    return StepWeights(
        layers=[layer(index) for index in range(layers)],
        norm=named("model.norm.weight"),
        head=named("lm_head.weight"),
        cosines=named("rope.cos"),
        sines=named("rope.sin"),
    )


class StepCache(NamedTuple):
    """Addresses of each layer's keys and values, `[slots, kv_heads, capacity, head_dim]`."""

    keys: Sequence[int]
    values: Sequence[int]
    capacity: int


class StepEnds(NamedTuple):
    """Addresses of what goes in, `hidden` float16 `[rows, hidden_size]` and `lengths` int32 `[rows]`, and what comes
    out, `logits` float32 `[rows, vocab_size]`."""

    hidden: int
    lengths: int
    logits: int


class Launch(NamedTuple):
    """One kernel. `overlaps`: it may start before the one before it ends, and waits itself."""

    kernel: str
    grid: tuple[int, int, int]
    threads: int
    values: tuple[int | float, ...]
    types: tuple[type, ...]
    overlaps: bool = True


class Matmul(NamedTuple):
    """`[rows, depth]` times `[depth, width]`, in tiles of `tile` outputs."""

    name: str
    kernel: str
    depth: int
    width: int
    tile: int = TILE

    @property
    def tiles(self) -> int:
        return -(-self.width // self.tile)


@dataclass(frozen=True)
class StepShape:
    """A model on a device of so many multiprocessors; `warps` are those of a matmul's block."""

    model: Decoder
    processors: int
    warps: int = WARPS

    @property
    def query_size(self) -> int:
        return self.model.heads * self.model.head_dim

    @property
    def packed_size(self) -> int:
        return self.query_size + 2 * self.model.kv_heads * self.model.head_dim

    def packed(self) -> Matmul:
        """Queries, keys and values."""
        return Matmul("qkv", "packed", self.model.hidden_size, self.packed_size)

    def output(self) -> Matmul:
        """Of attention."""
        return Matmul("output", "added", self.query_size, self.model.hidden_size)

    def gate_up(self) -> Matmul:
        """A block has a tile of each."""
        return Matmul("gate_up", "gated", self.model.hidden_size, 2 * self.model.intermediate_size, 2 * TILE)

    def down(self) -> Matmul:
        return Matmul("down", "added", self.model.intermediate_size, self.model.hidden_size)

    def head(self) -> Matmul:
        return Matmul("head", "head", self.model.hidden_size, self.model.vocab_size)

    def matmuls(self) -> tuple[Matmul, ...]:
        """One of each kind, in the order of a step."""
        return self.packed(), self.output(), self.gate_up(), self.down(), self.head()

    def stretches(self, matmul: Matmul) -> int:
        """Into how many stretches its depth is divided: as many blocks as the device holds at once, if each warp then
        still has enough to prefetch."""
        deep = self.warps * TILE // matmul.tile
        most = -(-matmul.depth // DEPTH) // (deep * PREFETCHED)
        return max(1, min(WAVE * self.processors // matmul.tiles, most))


class Scratch:
    """What a step needs between its kernels: sizes in bytes, and addresses from one base.

    `counters` must be zeros before the first step; every step leaves them so.
    """

    def __init__(self, shape: StepShape) -> None:
        model = shape.model
        partial = max(
            [ROWS * matmul.tile * matmul.tiles * shape.stretches(matmul) for matmul in shape.matmuls()]
            + [ROWS * model.heads * CHUNKS * (model.head_dim + 2)]
        )
        counters = max([matmul.tiles for matmul in shape.matmuls()] + [ROWS * model.heads])
        sizes = {
            "residual": 2 * ROWS * model.hidden_size,
            "squares": 4 * ROWS * model.hidden_size // DEPTH,
            "lengths": 4 * ROWS,
            "packed": 2 * ROWS * shape.packed_size,
            "attended": 2 * ROWS * shape.query_size,
            "gated": 2 * ROWS * model.intermediate_size,
            "partial": 4 * partial,
            "counters": 4 * counters,
        }
        self._offsets: dict[str, int] = {}
        self.size = 0
        for name, size in sizes.items():
            self._offsets[name] = self.size
            self.size += -(-size // 256) * 256
        self.base = 0

    def __getitem__(self, name: str) -> int:
        return self.base + self._offsets[name]


POINTER, INTEGER, SINGLE = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
MATMUL_TYPES = (*[POINTER] * 4, SINGLE, *[POINTER] * 4, *[INTEGER] * 3)
ATTEND_TYPES = (*[POINTER] * 9, *[INTEGER] * 4)
BEGIN_TYPES = (*[POINTER] * 5, INTEGER)


class StepLaunches:
    """The launches of a step."""

    def __init__(
        self, shape: StepShape, weights: StepWeights, cache: StepCache, ends: StepEnds, scratch: Scratch
    ) -> None:
        self._shape, self._model = shape, shape.model
        self._weights, self._cache, self._ends, self._scratch = weights, cache, ends, scratch

    def over(self, rows: int) -> Iterator[Launch]:
        """Slots `0..rows-1`, in groups of 16."""
        for first in range(0, rows, ROWS):
            yield from self._group(first, min(ROWS, rows - first))

    def _group(self, first: int, rows: int) -> Iterator[Launch]:
        model, shape, scratch, weights = self._model, self._shape, self._scratch, self._weights
        yield self._begin(first, rows)
        for index, layer in enumerate(weights.layers):
            yield self.matmul(shape.packed(), rows, layer.qkv, "residual", scratch["packed"], layer.input_norm)
            yield self._attend(index, first, rows)
            yield self.matmul(shape.output(), rows, layer.output, "attended", scratch["residual"])
            yield self.matmul(shape.gate_up(), rows, layer.gate_up, "residual", scratch["gated"], layer.post_norm)
            yield self.matmul(shape.down(), rows, layer.down, "gated", scratch["residual"])
        logits = self._ends.logits + 4 * first * model.vocab_size
        yield self.matmul(shape.head(), rows, weights.head, "residual", logits, weights.norm)

    def matmul(self, matmul: Matmul, rows: int, weights: int, source: str, target: int, norm: int = 0) -> Launch:
        """Of what `source` names in the scratch, after RMSNorm with the scales at `norm` unless that is 0."""
        scratch = self._scratch
        values = (
            *(weights, scratch[source], norm, scratch["squares"], self._model.rms_norm_eps),
            *(target, scratch["squares"], scratch["partial"], scratch["counters"]),
            *(rows, matmul.depth, matmul.width),
        )
        grid = (matmul.tiles, self._shape.stretches(matmul), 1)
        return Launch(f"{matmul.kernel}_{8 if rows <= 8 else 16}", grid, 32 * self._shape.warps, values, MATMUL_TYPES)

    def _begin(self, first: int, rows: int) -> Launch:
        width, scratch, ends = self._model.hidden_size, self._scratch, self._ends
        values = (
            *(ends.hidden + 2 * first * width, ends.lengths + 4 * first),
            *(scratch["residual"], scratch["squares"], scratch["lengths"], width),
        )
        grid = (-(-width // BEGIN_THREADS), rows, 1)
        return Launch("begin", grid, BEGIN_THREADS, values, BEGIN_TYPES, overlaps=False)

    def _attend(self, layer: int, first: int, rows: int) -> Launch:
        model, cache, scratch, weights = self._model, self._cache, self._scratch, self._weights
        skipped = 2 * first * model.kv_heads * cache.capacity * model.head_dim
        values = (
            *(scratch["packed"], weights.cosines, weights.sines),
            *(cache.keys[layer] + skipped, cache.values[layer] + skipped, scratch["lengths"]),
            *(scratch["attended"], scratch["partial"], scratch["counters"]),
            *(model.heads, model.kv_heads, model.head_dim, cache.capacity),
        )
        return Launch("attend", (CHUNKS, model.heads, rows), ATTENTION_THREADS, values, ATTEND_TYPES)
