"""How fast decoding can be at best: a step reads every weight and the cache once, and nothing else takes time.

tokens/s = bandwidth / (weights + cache), for one slot. Sources: sizes of the published configurations of MobileVLM
1.7B, 3B and 7B; widths of the memory's bus from NVIDIA's data sheets of the modules, and the memory's clock: LPDDR5
gives two bits a clock on each line. No engine reaches its ceiling.
"""

from typing import NamedTuple

from edgevlm_engines.names import Precision

PAST = 512
"""Positions behind the token in the tables."""

GROUP = 128
"""Weights that share a scale in int4."""


class Model(NamedTuple):
    """The decoder of a published model; it has as many heads for keys as for queries."""

    name: str
    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int = 32_000

    @property
    def matrices(self) -> int:
        """Weights of the layers' matmuls."""
        return self.layers * (4 * self.width**2 + 3 * self.width * self.inner)

    @property
    def head(self) -> int:
        """Weights of the matmul that gives the logits."""
        return self.width * self.vocabulary

    @property
    def position_bytes(self) -> int:
        """Keys and values of one position, fp16."""
        return 2 * 2 * self.layers * self.width


class Memory(NamedTuple):
    """A module's memory: width of the bus in bits, largest clock in Hz, size in GB of 10^9 bytes."""

    name: str
    bus_bits: int
    clock: int
    size: int

    @property
    def bandwidth(self) -> float:
        return bandwidth(self.bus_bits, self.clock)


MODELS = (
    Model("1.7B", width=2048, layers=24, heads=16, inner=5632),
    Model("3B", width=2560, layers=32, heads=32, inner=6912),
    Model("7B", width=4096, layers=32, heads=32, inner=11_008),
)
PRECISIONS: tuple[Precision, ...] = ("fp16", "int8", "int4")

FASTEST = 3_200_000_000
MEMORIES = (
    Memory("AGX Orin 64 GB", 256, FASTEST, 64),
    Memory("Orin NX 16 GB", 128, FASTEST, 16),
    Memory("Orin Nano Super 8 GB", 128, FASTEST, 8),
    Memory("Orin Nano 8 GB", 128, 2_133_000_000, 8),
)


def bandwidth(bus_bits: int, clock: int) -> float:
    """Bytes a second."""
    return bus_bits / 8 * 2 * clock


def weight_bytes(model: Model, precision: Precision) -> int:
    """Bytes of all weights that a step reads: the embedding table is not among them.

    int8 has a scale in fp16 for each output, int4 one for each group; in int4 the head stays in int8.
    """
    outputs = model.layers * (5 * model.width + 2 * model.inner) + model.vocabulary
    if precision == "int8":
        return model.matrices + model.head + 2 * outputs
    if precision == "int4":
        return model.matrices // 2 + 2 * model.matrices // GROUP + model.head + 2 * model.vocabulary
    return 2 * (model.matrices + model.head)


def tokens_a_second(weights: int, cache: int, bandwidth: float) -> float:
    """The ceiling for one slot, from bytes and bytes a second."""
    return bandwidth / (weights + cache)


def ceiling(model: Model, precision: Precision, bandwidth: float, past: int = PAST) -> float:
    """Of a published model."""
    return tokens_a_second(weight_bytes(model, precision), past * model.position_bytes, bandwidth)
