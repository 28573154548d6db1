"""`python -m benchmarks.against_transformers --work DIR`: edgevlm and transformers in turn, on the same machine.

Random weights of the real sizes; float16 on a GPU, float32 on a CPU. Checkpoint, bundles and plans stay in DIR.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from edgevlm_engines import engine_for, read_manifest
from edgevlm_engines.names import Device

from benchmarks.command import run_command
from benchmarks.figures import PROMPT, Figures, Job, measure_apart
from benchmarks.machine import cores, heading
from benchmarks.made import make_bundle, make_checkpoint, make_plans
from benchmarks.measure import Timing
from benchmarks.peer_figures import PeerDevice, PeerFigures, PeerJob, Way, measure_peer
from benchmarks.report import table
from benchmarks.shapes import SHAPES
from edgevlm.doctor.survey import take_survey
from edgevlm.errors import CommandError

ROWS = (1, 8, 16)
PAST = 256
STEPS = 32
WITHOUT_GRAPHS = "CUDA graphs need a GPU: the peer's second way is left out."


class Line(NamedTuple):
    """One line of a table: what is timed on each side, and how it is printed."""

    title: str
    ours: Callable[[Figures], Timing]
    theirs: Callable[[Way], Timing]
    render: Callable[[float], str]


class Round(NamedTuple):
    """One side after the other. `ours` has the figures of each device."""

    ours: dict[Device, Figures]
    theirs: PeerFigures


def lines() -> Iterator[Line]:
    yield Line("picture to features; the tower alone", lambda ours: ours.encode, lambda way: way.tower, _time)
    yield Line(f"prompt, {PROMPT} positions", lambda ours: ours.prefill[PROMPT], lambda way: way.prefill, _time)
    for rows in ROWS:
        yield _decode_line(rows)


def report(rounds: list[Round]) -> str:
    """A table for each device of ours: medians, and how many times as fast edgevlm was."""
    tables = [f"edgevlm on {device}:\n\n{_table(rounds, device)}" for device in rounds[0].ours]
    return "\n\n".join(tables if rounds[0].theirs.graphs else [*tables, WITHOUT_GRAPHS])


def _table(rounds: list[Round], device: Device) -> str:
    ours = [one.ours[device] for one in rounds]
    ways = {"transformers, eager": [one.theirs.eager for one in rounds]}
    graphs = [one.theirs.graphs for one in rounds if one.theirs.graphs]
    if graphs:
        ways["transformers, CUDA graphs"] = graphs
    columns = ["", "edgevlm", *(column for way in ways for column in (way, "times as fast", "in rounds"))]
    return table(columns, [_row(line, ours, list(ways.values())) for line in lines()])


def _row(line: Line, ours: list[Figures], ways: list[list[Way]]) -> list[str]:
    our_times = [line.ours(figures).median for figures in ours]
    cells = [line.title, line.render(statistics.median(our_times))]
    for way in ways:
        times = [line.theirs(figures).median for figures in way]
        # each round's own ratio: what disturbs the machine for minutes disturbs both sides of a round
        ratios = [their / our for our, their in zip(our_times, times, strict=True)]
        range_of_rounds = f"{min(ratios):.2f} to {max(ratios):.2f}"
        cells += [line.render(statistics.median(times)), f"{statistics.median(ratios):.2f}", range_of_rounds]
    return cells


def _decode_line(rows: int) -> Line:
    title = f"decode, {rows} row{'s' * (rows > 1)}, {PAST} past"
    return Line(title, lambda ours: ours.decode[rows], lambda way: way.decode[rows], lambda step: _rate(rows / step))


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _rate(value: float) -> str:
    return f"{value:.1f} tokens/s"


def loadable() -> tuple[Device, ...]:
    """Devices of ours that this machine has, with what runs on them installed."""
    survey = take_survey(Path.cwd())
    if survey.board.driver is None:
        return ("cpu",)
    installed: dict[Device, bool] = {
        "cuda": "CUDAExecutionProvider" in survey.software.providers,
        "rtx": find_spec("tensorrt_rtx") is not None,
    }
    if not any(installed.values()):
        raise CommandError("There is a GPU, and neither onnxruntime-gpu nor TensorRT-RTX is installed.")
    return tuple(device for device, there in installed.items() if there)


def prepare(work: Path, shape: str, device: Device, threads: int) -> Job:
    """Make what is missing of a bundle for the device; returns what to measure of it."""
    precision: Literal["fp32", "fp16"] = "fp32" if device == "cpu" else "fp16"
    bundle = work / f"{shape}-{device}-{precision}"
    make_bundle(make_checkpoint(work, shape), bundle, precision, precision, device)
    job = Job(bundle.resolve(), threads, ROWS, PAST, STEPS)
    if engine_for(read_manifest(bundle), None) == "trt":
        make_plans(bundle, max(ROWS), job.capacity)
    return job


def compete(jobs: dict[Device, Job], peer: PeerJob, count: int) -> list[Round]:
    """Both sides in turn."""
    rounds = []
    for number in range(count):
        print(f"Round {number + 1} of {count}", file=sys.stderr)
        rounds.append(Round({device: measure_apart(job) for device, job in jobs.items()}, measure_peer(peer)))
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against_transformers", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="folder for all files")
    parser.add_argument("--shape", choices=SHAPES, default="1.7B")
    parser.add_argument("--devices", choices=get_args(Device), nargs="+", help="(default: all that can be loaded)")
    parser.add_argument("--threads", type=int, default=cores(), help="(default: one per physical core)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if not all(map(find_spec, ("torch", "transformers"))):
        raise CommandError("torch or transformers is missing; install edgevlm with its 'peers' extra.")
    arguments.work.mkdir(parents=True, exist_ok=True)
    devices: tuple[Device, ...] = tuple(arguments.devices or loadable())
    jobs = {device: prepare(arguments.work, arguments.shape, device, arguments.threads) for device in devices}
    where: PeerDevice = "cpu" if devices == ("cpu",) else "cuda"
    peer = PeerJob(arguments.shape, where, arguments.threads, ROWS, PAST, STEPS, PROMPT)
    rounds = compete(jobs, peer, arguments.rounds)
    print(f"{heading(rounds[0].theirs.name)}\n{arguments.shape}, {arguments.threads} threads, {len(rounds)} rounds")
    print(f"\n{report(rounds)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
