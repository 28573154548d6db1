"""What transformers takes for the same work, measured in a process that holds nothing else. Imports no torch."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from benchmarks.machine import ROOT
from benchmarks.measure import Timing

PeerDevice = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class PeerJob:
    """What to measure, on one of the shapes: `rows` together, each with `past` positions at first, for `steps` steps.

    `threads` are the processor's, for work on a CPU.
    """

    shape: str
    device: PeerDevice
    threads: int
    rows: tuple[int, ...]
    past: int
    steps: int
    prompt: int


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run the models. `decode` has the steps of each number of rows."""

    tower: Timing
    prefill: Timing
    decode: dict[int, Timing]


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """What transformers took. `name` has the versions; without a GPU there are no graphs."""

    name: str
    eager: Way
    graphs: Way | None


JOB, FIGURES = TypeAdapter(PeerJob), TypeAdapter(PeerFigures)


def measure_peer(job: PeerJob) -> PeerFigures:
    """Run `benchmarks.transformers_peer`. Raises `subprocess.CalledProcessError` if it cannot; it has said why."""
    command = [sys.executable, "-m", "benchmarks.transformers_peer"]
    done = subprocess.run(command, cwd=ROOT, input=JOB.dump_json(job), stdout=subprocess.PIPE, check=True)
    return FIGURES.validate_json(done.stdout)
