"""`python -m benchmarks.against_llamacpp --work DIR`: edgevlm and llama.cpp in turn, on the same model and machine.

Random weights of the real sizes, quantised by each side's own means to the same number of bits. Everything that is
made on the way (checkpoint, bundles, GGUF files, llama.cpp itself) stays in DIR and is used again.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.contest import PAST, STREAMS, Contest, Pair, Sample
from benchmarks.figures import PROMPT
from benchmarks.llamacpp import NAME, LlamaCpp, build
from benchmarks.machine import cores, heading
from benchmarks.report import gigabytes, table
from benchmarks.shapes import SHAPES

Rounds = list[tuple[Sample, Sample]]
"""Ours and theirs, round by round."""

ALL_PAIRS = (Pair("int4", "int8", "Q4_0"), Pair("int8", "fp32", "Q8_0"), Pair("fp32", "fp32", "F16"))
PAIRS = {pair.precision: pair for pair in ALL_PAIRS}


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


def report(pair: Pair, rounds: Rounds) -> str:
    """A table of medians over the rounds."""
    rows = [_line(field, title, render, rounds) for field, (title, render) in LINES.items()]
    return f"{pair.title}:\n\n{table(['', 'edgevlm', 'llama.cpp', 'ratio', 'in rounds'], rows)}"


def _line(field: str, title: str, render: Callable[[float], str], rounds: Rounds) -> list[str]:
    ours, theirs = ([float(getattr(sample, field)) for sample in side] for side in zip(*rounds, strict=True))
    # each round's own ratio: what disturbs the machine for minutes disturbs both sides of a round
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    figures = [render(statistics.median(ours)), render(statistics.median(theirs))]
    return [title, *figures, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]


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
    parser.add_argument("--precisions", choices=PAIRS, nargs="+", default=["int4", "int8"])
    parser.add_argument("--threads", type=int, default=cores(), help="(default: one per physical core)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    print(f"Building {NAME}, unless it is there", file=sys.stderr)
    peer = LlamaCpp(build(arguments.work / "llama.cpp", arguments.threads), arguments.threads)
    contests = [Contest(arguments.work, arguments.shape, PAIRS[name], peer) for name in arguments.precisions]
    for contest in contests:
        contest.prepare()
    results = compete(contests, arguments.rounds)
    print(f"{heading(NAME)}\n{arguments.shape}, {arguments.threads} threads, {arguments.rounds} rounds")
    for contest, rounds in zip(contests, results, strict=True):
        print(f"\n{report(contest.pair, rounds)}")


if __name__ == "__main__":
    main()
