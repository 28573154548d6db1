"""`python -m benchmarks.shapes_run --work DIR`: the five published shapes through export, load and a few tokens.

Checkpoints have random weights and the published files' layout (`benchmarks/published.py`). One at a time is on the
disk. What does not fit this machine, or does not work, has its reason in its row.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

from edgevlm_engines import available_memory, read_manifest, size_text
from edgevlm_engines.names import Device, Precision, VisionPrecision
from edgevlm_export.graph.precision import FLAVOURS, RUNS

from benchmarks.command import run_command
from benchmarks.machine import heading
from benchmarks.made import bar
from benchmarks.measure import CommandFailed, run
from benchmarks.published import PUBLISHED, Published, write_published
from benchmarks.report import gigabytes, table
from benchmarks.shapes_answer import JSON
from benchmarks.sizes import bundle_bytes

COLUMNS = (
    *("model", "layers", "device", "precision", "pictures", "checkpoint", "bundle"),
    *("export", "memory of the export", "load", "answer", "memory of the answer", "remark"),
)
WIDEST = 4
"""Bytes of a weight in the largest bundle, in fp32; a checkpoint has 2."""


class Kind(NamedTuple):
    """What a checkpoint is exported as."""

    device: Device
    precision: Precision
    vision: VisionPrecision


@dataclass(frozen=True, slots=True)
class Case:
    """One checkpoint on disk."""

    name: str
    model: Published
    checkpoint: Path
    clip: Path


def kinds(devices: Sequence[Device], precisions: Sequence[Precision]) -> list[Kind]:
    """Every precision of the language model on each device, each with one of the vision encoder's."""
    found = []
    for device in devices:
        speaking, seeing = RUNS[device]
        for precision in speaking:
            if precision in precisions:
                # the encoder's own int8 goes with quantised decoders, and its fp16 where there is no int8
                vision = next(each for each in (precision, "int8", "fp16") if each in seeing)
                found.append(Kind(device, precision, vision))
    return found


def rows(
    work: Path, names: Sequence[str], layers: Sequence[int | None], chosen: Sequence[Kind]
) -> Iterator[list[str]]:
    """One for each checkpoint and kind, as soon as it is known."""
    for name in names:
        for count in layers:
            model = PUBLISHED[name] if count is None else PUBLISHED[name].with_layers(count)
            needed = _disk_bytes(model, chosen)
            free = shutil.disk_usage(work).free
            if free < needed:
                reason = f"not run: needs {size_text(needed)} of disk, {size_text(free)} are free"
                yield [name, str(model.shape.layers), *[""] * (len(COLUMNS) - 3), reason]
                continue
            yield from _measured(work, name, model, chosen)


def _disk_bytes(model: Published, chosen: Sequence[Kind]) -> int:
    """Of the checkpoint and its largest bundle; int4 has a quarter of fp16's bytes in its layers."""
    widest = max({"fp32": 2.0, "fp16": 1.0, "int8": 0.6, "int4": 0.4}[kind.precision] for kind in chosen)
    tower = sum(tensor.size for tensor in model.tensors() if "vision_tower" in tensor.name)
    return int(model.size() * (1 + widest) + WIDEST * tower)


def _measured(work: Path, name: str, model: Published, chosen: Sequence[Kind]) -> Iterator[list[str]]:
    folder = work / f"{name}-{model.shape.layers}"
    case = Case(name, model, folder, write_published(model, folder, bar(folder)))
    try:
        for kind in chosen:
            yield _row(case, kind)
    finally:
        for made in (case.checkpoint, case.clip):
            shutil.rmtree(made)


def _row(case: Case, kind: Kind) -> list[str]:
    shape = [case.name, str(case.model.shape.layers), *kind, gigabytes(case.model.size())]
    bundle = case.checkpoint.with_name(f"{case.checkpoint.name}-{kind.device}-{kind.precision}")
    try:
        exported = _exported(case, kind, bundle)
        return [*shape, *exported, *_answered(kind, bundle)]
    except CommandFailed as error:
        return [*shape, "", "", "", *_without_answer(_reason(error))]
    finally:
        shutil.rmtree(bundle, ignore_errors=True)


def _exported(case: Case, kind: Kind, bundle: Path) -> list[str]:
    """Size of the bundle, seconds, memory."""
    paths: list[str | Path] = [case.checkpoint, bundle, "--vision-tower", case.clip]
    precisions = ["--device", kind.device, "--precision", kind.precision, "--vision-precision", kind.vision]
    start = time.perf_counter()
    done = run([sys.executable, "-m", "edgevlm", "export", *paths, *precisions])
    seconds = time.perf_counter() - start
    return [gigabytes(bundle_bytes(read_manifest(bundle))), f"{seconds:.0f} s", gigabytes(done.peak_memory)]


def _answered(kind: Kind, bundle: Path) -> list[str]:
    """Seconds to load, seconds for the answer, memory, remark."""
    if FLAVOURS[kind.device] != "ort":
        return _without_answer("runs on TensorRT alone, which is not tried here")
    if kind.device == "cuda":
        return _without_answer("runs on a GPU, which is not tried here")
    size, free = bundle_bytes(read_manifest(bundle)), available_memory()
    if free is not None and free < size:
        return _without_answer(f"not loaded: {gigabytes(size)} of files, {gigabytes(free)} of memory available")
    try:
        done = run([sys.executable, "-m", "benchmarks.shapes_answer", bundle])
    except CommandFailed as error:
        return _without_answer(_reason(error))
    found = JSON.validate_json(done.output.splitlines()[-1])
    answer = f"{found.answering:.1f} s, {found.tokens} tokens"
    return [f"{found.loading:.1f} s", answer, gigabytes(found.peak_memory), ""]


def _without_answer(remark: str) -> list[str]:
    return ["", "", "", remark]


def _reason(error: CommandFailed) -> str:
    """What the command said last, before the line about its exit code."""
    return str(error).splitlines()[-2:][0]


def _list(text: str) -> list[str]:
    return text.split(",")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes_run", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="folder for files of one checkpoint")
    parser.add_argument("--models", type=_list, default=list(PUBLISHED), metavar="A,B", help="(default: all five)")
    parser.add_argument(
        "--layers",
        type=_list,
        metavar="N,M",
        help="decoder layers, if not as many as the shape has; the rest is whole",
    )
    parser.add_argument("--devices", type=_list, default=["cpu"], metavar="A,B", help="(default: cpu)")
    parser.add_argument(
        "--precisions", type=_list, default=list(get_args(Precision)), metavar="A,B", help="(default: all)"
    )
    arguments = parser.parse_args()
    for given, known in (
        (arguments.models, list(PUBLISHED)),
        (arguments.devices, list(get_args(Device))),
        (arguments.precisions, list(get_args(Precision))),
    ):
        if unknown := set(given) - set(known):
            parser.error(f"there is no {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    layers = [int(count) for count in arguments.layers] if arguments.layers else [None]
    chosen = kinds(arguments.devices, arguments.precisions)
    arguments.work.mkdir(parents=True, exist_ok=True)
    made = []
    for row in rows(arguments.work, arguments.models, layers, chosen):
        made.append(row)
        print(" | ".join(row), file=sys.stderr, flush=True)
    print(f"{heading()}\n\n{table(COLUMNS, made)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
