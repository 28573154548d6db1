"""`python -m benchmarks.growth BUNDLE`: how costs grow with the prompt, the past, the slots and the pictures."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgevlm_engines import Bundle, load_engine, open_bundle

from benchmarks.command import run_command
from benchmarks.machine import cores, heading
from benchmarks.measure import Timing, timed
from benchmarks.report import table, times
from benchmarks.workload import QUESTION, Workload

LENGTHS = (64, 128, 256, 512, 1024, 2032)
"""Positions; behind the last there is still room for a step."""

SLOTS = (1, 2, 4, 8, 16)
PICTURES = (1, 2, 4)
PAST = 256
STEPS = 8
REPEATS = 2

Costs = dict[int, Timing]
"""From the size of the work to the time that it takes."""


def costs(sizes: Iterable[int], call: Callable[[int], object], repeats: int) -> Costs:
    """The time of `call(size)` for each size."""
    return {size: _cost(size, call, repeats) for size in sizes}


def growth_table(unit: str, measured: Costs) -> str:
    """Medians beside the first. `growth` is time over size: 1.00 in proportion, below it the larger is cheaper."""
    first = min(measured)
    rows = []
    for size, timing in measured.items():
        larger, longer = size / first, timing.median / measured[first].median
        rows.append([str(size), f"{timing.median:.4f}", times(larger), times(longer), f"{longer / larger:.2f}"])
    return table([unit, "seconds", "size", "time", "growth"], rows)


def sections(bundle: Bundle, threads: int) -> Iterator[tuple[str, str]]:
    """Title and table, each as soon as it is measured."""
    manifest = bundle.manifest
    lengths = [length for length in LENGTHS if length < manifest.max_length]
    picture = manifest.vision.image_tokens
    counts = [count for count in PICTURES if count * (picture + QUESTION) <= manifest.max_length]
    with _workload(bundle, 1, manifest.max_length, threads) as work:
        yield "Prefill of a text", growth_table("tokens", costs(lengths, work.prefill, REPEATS))
        work.fill(1, max(lengths))
        # a step may be repeated in its place: what the positions behind it hold makes no difference
        yield "A step of one slot", growth_table("past", costs(lengths, lambda past: work.decode(1, past), STEPS))
        yield "Pictures encoded in one call", growth_table("pictures", costs(counts, work.encode, REPEATS))
        features = work.encode(max(counts))
        prompted = costs(counts, lambda count: work.prefill_pictures(features[: count * picture]), REPEATS)
        yield "Prefill of pictures, with text behind each", growth_table("pictures", prompted)
    with _workload(bundle, max(SLOTS), max(PAST, picture) + 1, threads) as work:
        work.fill(max(SLOTS), PAST)
        steps = costs(SLOTS, lambda slots: work.decode(slots, PAST), STEPS)
        yield f"A step of several slots, {PAST} positions each", growth_table("slots", steps)


def _cost(size: int, call: Callable[[int], object], repeats: int) -> Timing:
    return timed(lambda _: call(size), repeats)


@contextmanager
def _workload(bundle: Bundle, slots: int, length: int, threads: int) -> Iterator[Workload]:
    engine = load_engine("ort", bundle, slots=slots, max_length=length, threads=threads)
    try:
        yield Workload(engine)
    finally:
        engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=cores(), help="(default: one per physical core)")
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    print(f"{heading()}\n{bundle.manifest.model}: {bundle.manifest.precision}, {arguments.threads} threads")
    for title, content in sections(bundle, arguments.threads):
        print(f"\n{title}:\n\n{content}", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
