"""`python -m benchmarks.decode_kernels`: the decode kernels on this machine's GPU, first whether they are right, then
how long a step and each of its kernels takes, as they are and divided otherwise.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
from edgevlm_engines.cuda.compiler import compiled
from edgevlm_engines.cuda.decode_plan import WARPS, Launch, Matmul, StepShape
from edgevlm_engines.cuda.decode_step import DecodeStep, Kernels, processors, source
from edgevlm_engines.cuda.runtime import Stream, device, enter_thread
from edgevlm_engines.errors import CudaError
from edgevlm_engines.manifest import Decoder

from benchmarks.command import run_command
from benchmarks.decode_device import DeviceModel, Tools, captured, drawn, intervals, uploaded
from benchmarks.decode_reference import draw_stack, step
from benchmarks.report import percent, table
from benchmarks.shapes import SHAPES

SLOTS = 16
MOST_STRETCHES = 8
STRETCHES = (1, 2, 3, 4, 6, MOST_STRETCHES)
REPEATS = 40
TOLERANCE = 5e-3


class Variant(NamedTuple):
    """How the matmuls' source is compiled: see `decode_kernels.cu`."""

    warps: int
    stages: int
    blocks: int

    def kernels(self, *, overlap: bool = True) -> Kernels:
        return Kernels(compiled_once(self), overlap=overlap)

    def __str__(self) -> str:
        return f"{self.warps} warps, {self.stages} stages, {self.blocks} blocks"


@cache
def compiled_once(variant: Variant) -> bytes:
    """Machine code of all kernels."""
    names = zip(("WARPS", "STAGES", "BLOCKS"), variant, strict=True)
    head = "".join(f"#define {name} {value}\n" for name, value in names)
    return compiled(head + source(), "decode.cu")


OWN = Variant(WARPS, 2, 2)
OTHERS = (Variant(8, 2, 1), Variant(8, 1, 2), Variant(4, 2, 4), Variant(4, 2, 3), Variant(4, 3, 3), Variant(8, 3, 1))


@dataclass(frozen=True)
class DividedShape(StepShape):
    """With a number of stretches given for some matmuls by name."""

    given: Mapping[str, int] = field(default_factory=dict)

    def stretches(self, matmul: Matmul) -> int:
        return self.given[matmul.name] if matmul.name in self.given else super().stretches(matmul)


def decoder(name: str, layers: int | None) -> Decoder:
    """The decoder of a published model's shape."""
    shape = SHAPES[name]
    return Decoder(
        hidden_size=shape.width,
        layers=layers or shape.layers,
        heads=shape.heads,
        kv_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        intermediate_size=shape.inner,
        vocab_size=shape.vocabulary,
        rms_norm_eps=1e-6,
        rope_theta=10000.0,
    )


SMALL = Decoder(
    hidden_size=320,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=80,
    intermediate_size=416,
    vocab_size=1000,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
)


def check(model: Decoder, rows: tuple[int, ...], given: Mapping[str, int]) -> Iterator[list[str]]:
    """Against numpy; a row alone against the same row in company; overlapping kernels against others."""
    random = np.random.default_rng(5)
    slots, capacity = max(rows), 640
    stack = draw_stack(model, capacity, random)
    sides = (2, model.layers, slots, model.kv_heads, capacity, model.head_dim)
    past = random.standard_normal(sides, np.float32).astype(np.float16)
    hidden = random.standard_normal((slots, model.hidden_size), np.float32).astype(np.float16)
    lengths = np.resize([600, 0, 63, 64, 5, 300, 1, 639, 15, 16, 511, 512, 257, 2, 100, 128, 40], slots)
    wanted = step(
        model, stack, [(past[0, i].copy(), past[1, i].copy()) for i in range(model.layers)], hidden, lengths
    )
    on_device = uploaded(stack, past)
    shape = DividedShape(model, processors(), given=given)
    kernels, apart = OWN.kernels(), OWN.kernels(overlap=False)
    overlapping = DecodeStep(shape, kernels, on_device.weights, on_device.cache, slots)
    waiting = DecodeStep(shape, apart, on_device.weights, on_device.cache, slots)
    together = waiting.run(hidden, lengths)
    for count in rows:
        found = [overlapping.run(hidden[:count], lengths[:count]) for _ in range(8)]
        error = max(float(np.linalg.norm(one - wanted[:count]) / np.linalg.norm(wanted[:count])) for one in found)
        same = all(np.array_equal(one, together[:count]) for one in found)
        right = error < TOLERANCE and same
        bits = "the same" if same else "OTHERS"
        yield [f"hidden {model.hidden_size}, {count} rows", f"{error:.1e}", bits, "yes" if right else "NO"]
    for held in (overlapping, waiting, on_device, kernels, apart):
        held.free()


@dataclass
class Bench:
    """A model of random weights and what its device reads at best."""

    model: Decoder
    past: int
    on_device: DeviceModel
    bandwidth: float

    def step_time(self, variant: Variant, given: Mapping[str, int], rows: int, *, overlap: bool = True) -> float:
        """Seconds of a whole step, the median."""
        kernels = variant.kernels(overlap=overlap)
        stepper = self.stepper(variant, given, kernels)
        self.fill(stepper, rows)
        graph = stepper.graph(rows)
        seconds = median(intervals(stepper.stream, lambda: graph.launch(stepper.stream), REPEATS))
        stepper.free()
        kernels.free()
        return seconds

    def call_time(self, rows: int) -> float:
        """Seconds of a whole call as an engine makes it, by this process's clock: with what it copies."""
        kernels = OWN.kernels()
        stepper = self.stepper(OWN, {}, kernels)
        self.fill(stepper, rows)
        hidden, lengths = np.ones((rows, self.model.hidden_size), np.float16), np.full(rows, self.past)
        seconds = []
        for _ in range(REPEATS):
            start = perf_counter()
            stepper.run(hidden, lengths)
            seconds.append(perf_counter() - start)
        stepper.free()
        kernels.free()
        return median(seconds)

    def stepper(self, variant: Variant, given: Mapping[str, int], kernels: Kernels) -> DecodeStep:
        shape = DividedShape(self.model, processors(), variant.warps, given)
        return DecodeStep(shape, kernels, self.on_device.weights, self.on_device.cache, SLOTS)

    def fill(self, stepper: DecodeStep, rows: int) -> None:
        """Run one step of random embeddings at the past's length, so that what lies between kernels is as in use."""
        hidden = np.random.default_rng(1).standard_normal((rows, self.model.hidden_size), np.float32)
        stepper.run(hidden.astype(np.float16), np.full(rows, self.past))

    def kernel_time(self, stepper: DecodeStep, kernels: Kernels, name: str, rows: int, repeats: int) -> float:
        """Seconds of one kernel of a kind, over all layers' weights in turn; the median."""
        launches = self.of_kind(stepper, name, rows)
        graph = captured(launches, kernels, stepper.stream)
        seconds = median(intervals(stepper.stream, lambda: graph.launch(stepper.stream), repeats))
        graph.free()
        return seconds / len(launches)

    def of_kind(self, stepper: DecodeStep, name: str, rows: int) -> list[Launch]:
        """A step is `begin`, five kernels a layer, the head; of heads there are some, so that no cache has them."""
        launches = list(stepper.plan.launches(rows))
        if name == "head":
            heads = (launches[-1].values[0], *self.on_device.heads)
            return [launches[-1]._replace(values=(head, *launches[-1].values[1:])) for head in heads]
        kinds = ("qkv", "attention", "output", "gate_up", "down")
        return launches[1:-1][kinds.index(name) :: len(kinds)]

    def bytes(self, name: str, rows: int) -> int:
        """What a kernel must read."""
        if name == "attention":
            return 4 * rows * self.past * self.model.kv_heads * self.model.head_dim
        [matmul] = [one for one in StepShape(self.model, 1).matmuls() if one.name == name]
        return 2 * matmul.depth * matmul.width

    def step_bytes(self, rows: int) -> int:
        """What a step must read."""
        layer = sum(self.bytes(name, rows) for name in ("qkv", "attention", "output", "gate_up", "down"))
        return self.model.layers * layer + self.bytes("head", rows)


KINDS = ("qkv", "attention", "output", "gate_up", "down", "head")
MATMULS = tuple(name for name in KINDS if name != "attention")


def kernel_rows(bench: Bench) -> Iterator[list[str]]:
    """Each kind of kernel as it is."""
    kernels = OWN.kernels()
    stepper = bench.stepper(OWN, {}, kernels)
    for name in KINDS:
        for rows in (1, 8, 16):
            bench.fill(stepper, rows)
            seconds = bench.kernel_time(stepper, kernels, name, rows, REPEATS)
            speed = bench.bytes(name, rows) / seconds
            figures = (f"{1e6 * seconds:.2f}", f"{speed / 1e9:.0f}", percent(speed / bench.bandwidth))
            yield [f"{name}, {rows} rows", *figures]
    stepper.free()
    kernels.free()


class Best(NamedTuple):
    """The best division of a matmul's depth in a variant, for one row and for 16 together."""

    stretches: int
    one: float
    sixteen: float


def best_stretches(bench: Bench, variant: Variant) -> dict[str, Best]:
    """Of each matmul."""
    kernels = variant.kernels()
    found: dict[str, Best] = {}
    for stretches in STRETCHES:
        stepper = bench.stepper(variant, dict.fromkeys(MATMULS, stretches), kernels)
        bench.fill(stepper, SLOTS)
        for name in MATMULS:
            times = (bench.kernel_time(stepper, kernels, name, rows, 10) for rows in (1, SLOTS))
            tried = Best(stretches, *times)
            if name not in found or tried.one + tried.sixteen < found[name].one + found[name].sixteen:
                found[name] = tried
        stepper.free()
    kernels.free()
    return found


def variant_row(bench: Bench, variant: Variant) -> list[str]:
    """Best stretches with both kernel times, and the step that they make."""
    try:
        best = best_stretches(bench, variant)
    except CudaError as error:  # more registers than a device has, for one
        return [str(variant), str(error), *[""] * (len(MATMULS) + 1)]
    given = {name: one.stretches for name, one in best.items()}
    steps = [f"{1e3 * bench.step_time(variant, given, rows):.3f}" for rows in (1, SLOTS)]
    cells = (f"{one.stretches}: {1e6 * one.one:.1f} / {1e6 * one.sixteen:.1f}" for one in best.values())
    return [str(variant), *cells, *steps]


def step_rows(bench: Bench) -> Iterator[list[str]]:
    """Whole steps as they are, beside steps whose kernels wait for each other."""
    for rows in (1, 2, 4, 8, 16):
        seconds = bench.step_time(OWN, {}, rows)
        waiting = bench.step_time(OWN, {}, rows, overlap=False)
        least = bench.step_bytes(rows) / bench.bandwidth
        called = bench.call_time(rows)
        times = (f"{1e3 * one:.3f}" for one in (seconds, waiting, least))
        yield [str(rows), *times, percent(least / seconds), f"{1e3 * called:.3f}", f"{rows / called:.0f}"]


def measure(name: str, layers: int | None, past: int) -> None:
    """Print everything, the shortest table last."""
    enter_thread()
    model = decoder(name, layers)
    stream = Stream(urgent=True)
    tools = Tools(stream, processors())
    print(f"{device().name}, {processors()} multiprocessors; {name}, {model.layers} layers, past {past}", flush=True)
    few = dict.fromkeys(MATMULS, 3)
    checked = chain(
        check(SMALL, (1, 3, 8, 16, 17), {}),
        check(SMALL, (1, 8, 16), few),
        check(model.model_copy(update={"layers": 1}), (1, 16), {}),
    )
    print(table(["against numpy", "relative error", "bits in any company", "right"], checked), "\n", flush=True)
    bandwidth = tools.read_bandwidth()
    print(f"reads {bandwidth / 1e9:.0f} GB/s\n", flush=True)
    bench = Bench(model, past, drawn(model, SLOTS, past + 64, tools), bandwidth)
    print(table(["kernel", "us", "GB/s", "of what it reads at best"], kernel_rows(bench)), "\n", flush=True)
    print("Best stretches, with us for 1 / 16 rows; steps in ms for 1 and 16 rows:\n")
    tried = (variant_row(bench, variant) for variant in (OWN, *OTHERS))
    print(table(["compiled with", *MATMULS, "1 row", "16 rows"], tried), "\n", flush=True)
    columns = ["rows", "step, ms", "not overlapping", "at best", "of it", "whole call, ms", "tokens/s"]
    print(table(columns, step_rows(bench)))
    for held in (bench.on_device, tools, stream):
        held.free()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode_kernels", description=__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="1.7B")
    parser.add_argument("--layers", type=int, help="instead of the shape's own")
    parser.add_argument("--past", type=int, default=256, help="positions that every slot holds (default: 256)")
    options = parser.parse_args()
    return run_command(lambda: measure(options.shape, options.layers, options.past))


if __name__ == "__main__":
    sys.exit(main())
