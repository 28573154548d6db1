"""What an engine takes for each of its calls, measured in a process that holds nothing else.

`python -m benchmarks.figures` is that process: it reads a job as JSON and writes its figures as JSON.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines import Engine, EngineError, engine_for, load_engine, open_bundle, provider_for, read_manifest
from edgevlm_engines.plan_cache import plan_folder
from pydantic import TypeAdapter

from benchmarks.machine import ROOT
from benchmarks.measure import Timing, forget, memory, read_once, timed
from benchmarks.workload import Workload

PROMPT = 160
"""Tokens of a prompt with one picture: 144 of the picture and a short question."""

REPEATS = 3


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure: `slots` together, each with `past` positions at first, for `steps` steps.

    `bundle` is an absolute path, since it goes to another process. Slots hold `max_length` positions, or as many as
    the steps need.
    """

    bundle: Path
    threads: int
    slots: tuple[int, ...]
    past: int
    steps: int
    max_length: int | None = None

    @property
    def capacity(self) -> int:
        """Positions that a slot holds; the warm-up is one step more."""
        return self.max_length or max(PROMPT, self.past + self.steps + 1)


@dataclass(frozen=True, slots=True)
class Start:
    """From files to an engine, in seconds and bytes; both times with nothing in the page cache."""

    reading: float
    loading: float
    memory: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the engine took. `decode` has the steps of each number of slots; memory in bytes."""

    start: Start
    encode: Timing
    prefill: Timing
    decode: dict[int, Timing]
    peak_memory: int


JOB, FIGURES = TypeAdapter(Job), TypeAdapter(Figures)


def measure_apart(job: Job) -> Figures:
    """`measure` in a new process: nothing is warm, and its memory is the engine's.

    Raises `subprocess.CalledProcessError` if it cannot; why has then been printed.
    """
    command = [sys.executable, "-m", "benchmarks.figures"]
    done = subprocess.run(command, cwd=ROOT, input=JOB.dump_json(job), stdout=subprocess.PIPE, check=True)
    return FIGURES.validate_json(done.stdout)


def measure(job: Job) -> Figures:
    """Load the bundle and run every call. Raises `EngineError` if it cannot be loaded."""
    start, engine = _start(job)
    work = Workload(engine)
    try:
        encode = timed(lambda _: work.encode(), REPEATS)
        prefill = timed(lambda _: work.prefill(PROMPT), REPEATS)
        work.fill(max(job.slots), job.past)
        decode = {slots: _decode(work, job, slots) for slots in job.slots}
        return Figures(start, encode, prefill, decode, memory().peak)
    finally:
        engine.close()


def _start(job: Job) -> tuple[Start, Engine]:
    files = [job.bundle / name for name in read_manifest(job.bundle).files]
    # of a bundle for a Jetson what was built is read as well
    files += plan_folder(job.bundle).glob("*/*.plan")
    forget(files)
    reading = read_once(files)
    forget(files)
    start = time.perf_counter()
    bundle = open_bundle(job.bundle)
    engine = load_engine(
        engine_for(bundle.manifest, None),
        bundle,
        slots=max(job.slots),
        max_length=job.capacity,
        provider=provider_for(bundle.manifest, None),
        threads=job.threads,
    )
    return Start(reading, time.perf_counter() - start, memory().now), engine


def _decode(work: Workload, job: Job, slots: int) -> Timing:
    return timed(lambda index: work.decode(slots, job.past + index), job.steps)


def main() -> None:
    try:
        figures = measure(JOB.validate_json(sys.stdin.buffer.read()))
    except EngineError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(FIGURES.dump_json(figures))


if __name__ == "__main__":
    main()
