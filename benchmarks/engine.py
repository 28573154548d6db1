"""`python -m benchmarks.engine BUNDLE`: what the engine takes for each of its calls, beside the machine's limits."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines import Manifest, read_manifest
from edgevlm_engines.memory_plan import position_bytes
from pydantic import TypeAdapter

from benchmarks.ceilings import Ceilings, gpu_ceilings, processor_ceilings
from benchmarks.command import run_command
from benchmarks.figures import PROMPT, Figures, Job, measure_apart, on_gpu
from benchmarks.machine import cores, heading
from benchmarks.report import gigabytes, percent, table, times
from benchmarks.sizes import bundle_bytes, decoder_bytes, token_operations


@dataclass(frozen=True, slots=True)
class Result:
    """All that is measured, as it is written to a file of JSON."""

    job: Job
    figures: Figures
    ceilings: Ceilings


JSON = TypeAdapter(Result)
LONG_PROMPT = 1024


def report(result: Result, manifest: Manifest) -> str:
    """The heading and two tables."""
    job, ceilings = result.job, result.ceilings
    numbers = f"{manifest.precision}, pictures {manifest.vision_precision}"
    title = f"{manifest.model} for {manifest.device}: {numbers}, {job.threads} threads"
    calls = table(["", "figure", "beside"], _calls(result, manifest))
    columns = ["slots", "tokens/s", "best step", "read per step", "GB/s", "of the ceiling"]
    steps = table(columns, [_step(result, manifest, slots) for slots in job.slots])
    limits = f"{title}; the machine {_limits(ceilings)}"
    return f"{heading()}\n{limits}\n\n{calls}\n\nDecode, {job.past} past:\n\n{steps}"


def _limits(ceilings: Ceilings) -> str:
    reads = "an unknown rate" if ceilings.bandwidth is None else f"{gigabytes(ceilings.bandwidth)}/s"
    if ceilings.on_paper is not None:
        reads += f" ({gigabytes(ceilings.on_paper)}/s on paper)"
    if ceilings.multiplications is None:
        return f"reads {reads}"
    return f"reads {reads} and multiplies {ceilings.multiplications / 1e9:.0f} GFLOP/s in {ceilings.numbers}"


def _calls(result: Result, manifest: Manifest) -> list[list[str]]:
    job, figures, files = result.job, result.figures, bundle_bytes(manifest)
    start = figures.start
    held = files + max(job.slots) * job.capacity * position_bytes(manifest)
    return [
        ["read all files, cold", f"{start.reading:.2f} s", gigabytes(files)],
        ["start, cold", f"{start.loading:.2f} s", f"{times(start.loading / start.reading)} reading"],
        ["memory after it", gigabytes(start.memory), f"{times(start.memory / files)} files"],
        ["largest memory", gigabytes(figures.peak_memory), f"{times(figures.peak_memory / held)} files and cache"],
        *_device_memory(figures, files, held),
        [
            "picture to features",
            _milliseconds(figures.encode.median),
            f"best {_milliseconds(figures.encode.minimum)}",
        ],
        _beside(figures, max(job.slots)),
        *(_prefill(result, manifest, length) for length in figures.prefill),
    ]


def _beside(figures: Figures, slots: int) -> list[str]:
    """How long a running answer's next token takes while pictures are encoded."""
    step, alone = figures.beside, figures.decode[slots]
    title = f"step of {slots} slots beside pictures"
    figure = f"{_milliseconds(step.median)}, longest {_milliseconds(step.maximum)}"
    return [title, figure, f"alone {_milliseconds(alone.median)}, longest {_milliseconds(alone.maximum)}"]


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _device_memory(figures: Figures, files: int, held: int) -> list[list[str]]:
    at_first, at_last = figures.start.device_memory, figures.device_memory
    if at_first is None or at_last is None:
        return []
    return [
        ["GPU memory after start", gigabytes(at_first), f"{times(at_first / files)} files"],
        ["GPU memory at the end", gigabytes(at_last), f"{times(at_last / held)} files and cache"],
    ]


def _prefill(result: Result, manifest: Manifest, length: int) -> list[str]:
    speed, rate = length / result.figures.prefill[length].median, result.ceilings.multiplications
    share = percent(speed * token_operations(manifest) / rate) if rate else ""
    beside = f"{share} of the {result.ceilings.numbers} ceiling" if rate else ""
    return [f"prefill, {length} tokens", f"{speed:.1f} tokens/s", beside]


def _step(result: Result, manifest: Manifest, slots: int) -> list[str]:
    job, timing = result.job, result.figures.decode[slots]
    # the first counted step has past + 1 positions behind it, the last past + steps
    length = job.past + (job.steps + 1) / 2
    read = decoder_bytes(manifest) + slots * length * position_bytes(manifest)
    speed, bandwidth = read / timing.median, result.ceilings.bandwidth or result.ceilings.on_paper
    return [
        str(slots),
        f"{slots / timing.median:.1f}",
        f"{slots / timing.minimum:.1f}",
        gigabytes(read),
        f"{speed / 1e9:.1f}",
        percent(speed / bandwidth) if bandwidth else "not known",
    ]


def _numbers(text: str) -> tuple[int, ...]:
    """`1,2,4` as on the command line."""
    return tuple(int(part) for part in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=cores(), help="(default: one per physical core)")
    parser.add_argument("--slots", type=_numbers, default=(1, 2, 4, 8, 16), help="(default: 1,2,4,8,16)")
    parser.add_argument("--past", type=int, default=256, help="positions of each slot before a step (default: 256)")
    parser.add_argument("--steps", type=int, default=32, help="steps for each number of slots (default: 32)")
    parser.add_argument(
        "--prompts",
        type=_numbers,
        metavar="N",
        help=f"tokens of prompts (default: {PROMPT}, on a GPU {PROMPT},{LONG_PROMPT})",
    )
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="positions of a slot (default: what steps and prompts need)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    bundle = arguments.bundle.resolve()
    manifest = read_manifest(bundle)
    prompts = (PROMPT, LONG_PROMPT) if on_gpu(manifest) else (PROMPT,)
    sizes = (arguments.slots, arguments.past, arguments.steps, arguments.max_length, arguments.prompts or prompts)
    job = Job(bundle, arguments.threads, *sizes)
    # first, while nothing else is in the device's memory
    figures = measure_apart(job)
    ceilings = gpu_ceilings() if on_gpu(manifest) else processor_ceilings(job.threads)
    result = Result(job, figures, ceilings)
    if arguments.json:
        arguments.json.write_bytes(JSON.dump_json(result))
    print(report(result, manifest))


if __name__ == "__main__":
    sys.exit(run_command(main))
