"""`python -m benchmarks.decode_kernels`: the decode kernels on this machine's GPU, first whether they are right, then
how long a step and each of its kernels takes, as they are and divided otherwise.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
from edgevlm_engines.cuda.compiler import compiled
from edgevlm_engines.cuda.decode_launches import WARPS, Launch, Matmul, StepShape
from edgevlm_engines.cuda.decode_step import DecodeStep, Kernels, processors, source
from edgevlm_engines.cuda.runtime import Stream, device, enter_thread
from edgevlm_engines.errors import CudaError
from edgevlm_engines.manifest import Decoder

from benchmarks.command import run_command
from benchmarks.decode_device import DeviceModel, Tools, captured, drawn, intervals, uploaded
from benchmarks.decode_reference import draw_stack, step
from benchmarks.report import percent, table
from benchmarks.shapes import SHAPES
from edgevlm.errors import CommandError

SLOTS = 16
STRETCHES = ((1, 4, 1, 4, 1),)
"""Into which each matmul's depth is divided, in the order of a step."""

REPEATS = 40
TOLERANCE = 5e-3


class Variant(NamedTuple):
    """How the source is compiled: see `decode_kernels.cu`."""

    warps: int = WARPS
    stages: int = 2
    blocks: int = 2
    blocks_16: int = 2
    shortest: int = 64
    attend_blocks: int = 3

    def kernels(self, *, overlap: bool = True) -> Kernels:
        return Kernels(compiled_once(self), overlap=overlap)

    def __str__(self) -> str:
        """What differs from the product's own."""
        changes = [f"{name} {value}" for name, value in self._asdict().items() if value != getattr(OWN, name)]
        return ", ".join(changes) or "as it is"


@cache
def compiled_once(variant: Variant) -> bytes:
    """Machine code of all kernels."""
    head = "".join(f"#define {name.upper()} {value}\n" for name, value in variant._asdict().items())
    return compiled(head + source(), "decode.cu")


OWN = Variant()
OTHERS = (
    Variant(blocks_16=1),
    Variant(stages=3, blocks=1, blocks_16=1),
    Variant(shortest=128),
    Variant(attend_blocks=4),
    Variant(shortest=128, blocks_16=1),
    Variant(stages=3, blocks=1, blocks_16=1, shortest=128),
)


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
        launches = list(stepper.launches.over(rows))
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


def variant_rows(bench: Bench, variant: Variant) -> Iterator[list[str]]:
    """Steps of a variant, divided as it is and otherwise."""
    for stretches in (None, *STRETCHES):
        given = dict(zip(MATMULS, stretches, strict=True)) if stretches else {}
        try:
            steps = [f"{1e3 * bench.step_time(variant, given, rows):.3f}" for rows in (1, 4, SLOTS)]
        except CudaError as error:  # more registers than a device has, for one
            steps = [str(error), "", ""]
        yield [str(variant), ", ".join(map(str, stretches)) if stretches else "as it is", *steps]


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
    with ThreadPoolExecutor() as pool:
        list(pool.map(compiled_once, (OWN, *OTHERS)))
    print(f"{device().name}, {processors()} multiprocessors; {name}, {model.layers} layers, past {past}", flush=True)
    few = dict.fromkeys(MATMULS, 3)
    checked = chain(
        check(SMALL, (1, 3, 8, 16, 17), {}),
        check(SMALL, (1, 8, 16), few),
        check(model.model_copy(update={"layers": 1}), (1, 16), {}),
    )
    found = list(checked)
    print(table(["against numpy", "relative error", "bits in any company", "right"], found), "\n", flush=True)
    if any(right != "yes" for *_, right in found):
        raise CommandError("The kernels are wrong on this device, so nothing is timed.")
    bandwidth = tools.read_bandwidth()
    print(f"reads {bandwidth / 1e9:.0f} GB/s\n", flush=True)
    bench = Bench(model, past, drawn(model, SLOTS, past + 64, tools), bandwidth)
    print(table(["kernel", "us", "GB/s", "of what it reads at best"], kernel_rows(bench)), "\n", flush=True)
    tried = chain.from_iterable(variant_rows(bench, variant) for variant in (OWN, *OTHERS))
    columns = ["compiled with", "stretches", "1 row, ms", "4 rows, ms", "16 rows, ms"]
    print(table(columns, tried), "\n", flush=True)
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
