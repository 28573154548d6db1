"""What an engine takes for each of its calls, measured in a process that holds nothing else.

`python -m benchmarks.figures` is that process: it reads a job as JSON and writes its figures as JSON.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from edgevlm_engines import (
    Engine,
    EngineError,
    Manifest,
    engine_for,
    load_engine,
    open_bundle,
    provider_for,
    read_manifest,
)
from edgevlm_engines.plan_cache import plan_folder
from pydantic import TypeAdapter

from benchmarks import gpu
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
    the steps and `prompts` need; a prompt that is longer is left out.
    """

    bundle: Path
    threads: int
    slots: tuple[int, ...]
    past: int
    steps: int
    max_length: int | None = None
    prompts: tuple[int, ...] = (PROMPT,)

    @property
    def capacity(self) -> int:
        """Positions that a slot holds; the warm-up is one step more."""
        return self.max_length or max(*self.prompts, self.past + self.steps + 1)


@dataclass(frozen=True, slots=True)
class Start:
    """From files to an engine, in seconds and bytes; both times with nothing in the page cache.

    `device_memory` is what the engine took of the GPU's, `None` where it runs on none.
    """

    reading: float
    loading: float
    memory: int
    device_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the engine took. `prefill` has each length, `decode` the steps of each number of slots; memory in bytes.

    `device_memory` is what was taken of the GPU's at the end: runtimes keep what they took.
    """

    start: Start
    encode: Timing
    prefill: dict[int, Timing]
    decode: dict[int, Timing]
    beside: Timing
    """Steps of the most slots while another thread encodes one picture after another."""
    peak_memory: int
    device_memory: int | None = None


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
    device = _DeviceMemory(read_manifest(job.bundle))
    start, engine = _start(job, device)
    work = Workload(engine)
    try:
        encode = timed(lambda _: work.encode(), REPEATS)
        prefill = {length: _prefill(work, length) for length in job.prompts if length <= job.capacity}
        work.fill(max(job.slots), job.past)
        decode = {slots: _decode(work, job, slots) for slots in job.slots}
        beside = _beside_pictures(work, job)
        return Figures(start, encode, prefill, decode, beside, memory().peak, device.taken())
    finally:
        engine.close()


def on_gpu(manifest: Manifest) -> bool:
    """Whether a bundle's engine runs on a GPU."""
    return engine_for(manifest, None) == "trt" or provider_for(manifest, None) == "cuda"


class _DeviceMemory:
    """How much less of the GPU's memory is free than at first, if it is used and can be asked.

    What CUDA itself takes for a process is not counted: asking is enough to make it take that.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._free: int | None = None
        if on_gpu(manifest):
            # ONNX Runtime needs no bindings of CUDA
            with suppress(ImportError, EngineError):
                self._free = gpu.free_memory()

    def taken(self) -> int | None:
        return None if self._free is None else self._free - gpu.free_memory()


def _start(job: Job, device: _DeviceMemory) -> tuple[Start, Engine]:
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
    return Start(reading, time.perf_counter() - start, memory().now, device.taken()), engine


def _prefill(work: Workload, length: int) -> Timing:
    return timed(lambda _: work.prefill(length), REPEATS)


def _beside_pictures(work: Workload, job: Job) -> Timing:
    ended = Event()

    def encode() -> None:
        while not ended.is_set():
            work.encode()

    with ThreadPoolExecutor(1) as pool:
        encoding = pool.submit(encode)
        try:
            steps = _decode(work, job, max(job.slots))
        finally:
            ended.set()
        encoding.result()
    return steps


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
