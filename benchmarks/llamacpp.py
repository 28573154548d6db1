"""llama.cpp, the peer: run by its own tools, whose figures are read. Knows not how they were built."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.llamacpp_build import NAME, cuda_libraries
from benchmarks.measure import Finished, run
from edgevlm.errors import CommandError

REPEATS = 3
CONTEXT = 512
"""Positions for one conversation: the smallest round number that two pictures and their answer fit into."""

ALL_LAYERS = 999
PICTURE = "<__media__>"
ENCODED = re.compile(r"mtmd batch encoding done in (\d+) ms")


@dataclass(frozen=True, slots=True)
class Answer:
    """A conversation about pictures: seconds to encode one, and the largest memory in bytes."""

    encode: float
    peak_memory: int


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """Its tools, run on `threads` threads, or with all layers on a GPU.

    Rates are tokens a second, means as the tools print them. Raises `CommandFailed` where a tool fails, and
    `CommandError` where it prints no figure.
    """

    tools: Path
    threads: int
    on_gpu: bool = False

    def prefill(self, model: Path, tokens: int) -> float:
        """A prompt with nothing before it."""
        return self._bench(model, "-p", tokens, "-n", 0)

    def decode(self, model: Path, past: int, steps: int) -> float:
        """One stream."""
        return self._bench(model, "-p", 0, "-n", steps, "-d", past)

    def decode_together(self, model: Path, streams: int, past: int, steps: int) -> float:
        """Several streams of the same length, the tokens of all counted."""
        sizes: tuple[str | int, ...] = ("-npp", past, "-ntg", steps, "-npl", streams, "-c", streams * (past + steps))
        # with a shared prompt the past is computed once and copied, as it is for our engine
        output = self._run("llama-batched-bench", model, *sizes, "-pps", "--output-format", "jsonl").output
        return float(record(output, "speed_tg")["speed_tg"])

    def answer(self, model: Path, projector: Path, picture: Path, steps: int) -> Answer:
        """Two pictures and `steps` tokens of answer; the second picture counts, when everything is warm."""
        conversation = ("-p", f"{PICTURE} first {PICTURE} second", "--image", picture, "--image", picture)
        settings = ("--chat-template", "vicuna", "--temp", 0, "--ignore-eos", "-c", CONTEXT, "-n", steps)
        finished = self._run("llama-mtmd-cli", model, "--mmproj", projector, *conversation, *settings)
        return Answer(encoding_times(finished.output)[-1], finished.peak_memory)

    def _bench(self, model: Path, *test: str | int) -> float:
        output = self._run("llama-bench", model, *test, "-r", REPEATS, "-o", "jsonl").output
        return float(record(output, "avg_ts")["avg_ts"])

    def _run(self, tool: str, model: Path, *arguments: str | int | Path) -> Finished:
        place = ("-ngl", ALL_LAYERS) if self.on_gpu else ()
        command = (self.tools / tool, "-m", model, "-t", self.threads, *arguments, *place)
        return run([str(part) for part in command], _environment() if self.on_gpu else None)


def _environment() -> dict[str, str]:
    path = ":".join(filter(None, (cuda_libraries(), os.environ.get("LD_LIBRARY_PATH"))))
    return {**os.environ, "LD_LIBRARY_PATH": path}


def record(output: str, key: str) -> dict[str, Any]:
    """The line of JSON with this key among everything that a tool printed. Raises `CommandError` if there is none."""
    for line in output.splitlines():
        if f'"{key}"' in line:
            found: dict[str, Any] = json.loads(line[line.index("{") :])
            return found
    raise CommandError(f"{NAME} printed no {key}, but: {output[-2000:].strip()}")


def encoding_times(output: str) -> list[float]:
    """Seconds of each encoded picture. Raises `CommandError` if there is none."""
    times = [int(milliseconds) / 1000 for milliseconds in ENCODED.findall(output)]
    if not times:
        raise CommandError(f"{NAME} encoded no picture, but printed: {output[-2000:].strip()}")
    return times
