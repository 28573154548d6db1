"""`python -m benchmarks.against_llamacpp --work DIR`: edgevlm and llama.cpp in turn, on the same model and machine.

Random weights of the real sizes, quantised by each side's own means to the same number of bits. Everything that is
made on the way (checkpoint, bundles, GGUF files, llama.cpp itself) stays in DIR and is used again. For a GPU,
llama.cpp can be built on another machine: DIR/llama.cpp-cuda-ARCHITECTURE is all that is needed of it.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from edgevlm_engines.names import Precision

from benchmarks.command import run_command
from benchmarks.contest import PAST, STREAMS, Contest, Pair, Sample
from benchmarks.figures import PROMPT
from benchmarks.gguf_files import write_decoder
from benchmarks.llamacpp import LlamaCpp
from benchmarks.llamacpp_build import NAME, build_for_gpu, build_for_processor
from benchmarks.machine import cores, heading
from benchmarks.made import bar, make_checkpoint
from benchmarks.report import gigabytes, table
from benchmarks.shapes import SHAPES

Rounds = list[tuple[Sample, Sample]]
"""Ours and theirs, round by round."""

ALL_PAIRS = (
    Pair("int4", "int8", "Q4_0"),
    Pair("int8", "fp32", "Q8_0"),
    Pair("fp32", "fp32", "F16"),
    Pair("fp16", "fp16", "F16"),
)
PAIRS = {pair.precision: pair for pair in ALL_PAIRS}
ON_CPU: tuple[Precision, ...] = ("int4", "int8")
ON_GPU: tuple[Precision, ...] = ("fp16",)
"""Pairs that are measured if none is named."""


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _rate(value: float) -> str:
    return f"{value:.1f} tokens/s"


LINES: dict[str, tuple[str, Callable[[float], str]]] = {
    "encode": ("picture to features", _seconds),
    "decode": (f"decode, 1 stream, {PAST} past", _rate),
    "decode_together": (f"decode, {STREAMS} streams, {PAST} past", _rate),
    "prefill": (f"prefill, {PROMPT} tokens", _rate),
    "peak_memory": ("largest memory, 1 stream", gigabytes),
}
"""For each field of a sample its title and how to print it."""


def report(pair: Pair, rounds: Rounds, *, on_gpu: bool = False) -> str:
    """A table of medians over the rounds. The host's memory says nothing of a GPU's."""
    lines = {field: line for field, line in LINES.items() if not on_gpu or field != "peak_memory"}
    rows = [_line(field, title, render, rounds) for field, (title, render) in lines.items()]
    return f"{pair.title}:\n\n{table(['', 'edgevlm', 'llama.cpp', 'ratio', 'in rounds'], rows)}"


def _line(field: str, title: str, render: Callable[[float], str], rounds: Rounds) -> list[str]:
    ours, theirs = ([float(getattr(sample, field)) for sample in side] for side in zip(*rounds, strict=True))
    # each round's own ratio: what disturbs the machine for minutes disturbs both sides of a round
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    figures = [render(statistics.median(ours)), render(statistics.median(theirs))]
    return [title, *figures, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]


def survives(tools: Path, work: Path) -> None:
    """Compute a few tokens on a model of the smallest shape. Raises `CommandFailed` where the tools die of it."""
    model = work / "tiny-Q4_0.gguf"
    if not model.exists():
        write_decoder(make_checkpoint(work, "tiny"), model, "Q4_0", bar(model))
    peer = LlamaCpp(tools, threads=1)
    peer.prefill(model, 32)
    peer.decode(model, 0, 2)


def compete(contests: list[Contest], count: int) -> list[Rounds]:
    """The rounds of each contest, all contests and both sides in turn."""
    results: list[Rounds] = [[] for _ in contests]
    for number in range(count):
        for contest, rounds in zip(contests, results, strict=True):
            print(f"Round {number + 1} of {count}: {contest.pair.title}", file=sys.stderr)
            rounds.append((contest.ours(), contest.theirs()))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against_llamacpp", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="folder for all files")
    parser.add_argument("--shape", choices=SHAPES, default="1.7B")
    parser.add_argument("--precisions", choices=PAIRS, nargs="+", help="(default: int4 int8, on a GPU fp16)")
    parser.add_argument("--threads", type=int, default=cores(), help="(default: one per physical core)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cuda", metavar="ARCHITECTURE", help="run both on an NVIDIA GPU of this compute capability, such as 90"
    )
    parser.add_argument("--build-only", action="store_true", help="build llama.cpp and end")
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    print(f"Building {NAME}, unless it is there", file=sys.stderr)
    if arguments.cuda:
        tools, built = build_for_gpu(work, arguments.cuda, arguments.threads)
    else:
        tools, built = build_for_processor(work, arguments.threads, lambda tools: survives(tools, work))
    if arguments.build_only:
        print(f"{tools}: {NAME}, {built}")
        return
    peer = LlamaCpp(tools, arguments.threads, on_gpu=bool(arguments.cuda))
    names: tuple[Precision, ...] = arguments.precisions or (ON_GPU if peer.on_gpu else ON_CPU)
    contests = [Contest(work, arguments.shape, PAIRS[name], peer) for name in names]
    for contest in contests:
        contest.prepare()
    results = compete(contests, arguments.rounds)
    print(f"{heading(f'{NAME} {built}')}\n{arguments.shape}, {arguments.threads} threads, {arguments.rounds} rounds")
    for contest, rounds in zip(contests, results, strict=True):
        print(f"\n{report(contest.pair, rounds, on_gpu=peer.on_gpu)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
