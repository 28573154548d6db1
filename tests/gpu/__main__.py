"""`python -m tests.gpu`: all checks that need an NVIDIA GPU, and a table of what they found.

Every column has a process of its own, since a fault in a device's code ends the process: the next one goes on behind
the check that did it. Where there is no GPU, one line says so, and nothing has failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from edgevlm_engines.errors import CudaError

from tests.gpu import report
from tests.gpu.columns import COLUMNS
from tests.gpu.machine import described, has_gpu
from tests.gpu.plugin import BEGAN, read, write

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

MODELS = ("contract", "golden", "same_bits", "answers")

PYTEST = (
    *("-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "-p", "tests.gpu.plugin"),
    *("--timeout-method", "thread", "-o", "timeout=150"),
)
"""Warnings of libraries are no failures here; a thread ends what hangs in a library's own code."""

DONE = (0, 1, 5)
"""Exit statuses of pytest that has run what there was to run."""

LAST_LINES = 40


class Part(NamedTuple):
    """What one process checks."""

    modules: tuple[str, ...]
    column: str | None


class Run:
    """Where a run leaves everything, and until when it may go on."""

    def __init__(self, work: Path, logs: Path, arguments: argparse.Namespace) -> None:
        self._work, self._logs = work, logs
        logs.mkdir(parents=True, exist_ok=True)
        for pattern in ("*.jsonl", "*.txt"):  # of a run before this one
            for path in logs.glob(pattern):
                path.unlink()
        self._rehearse = arguments.rehearse
        self._chosen = ["-k", arguments.k] if arguments.k else []
        self._deadline = time.monotonic() + arguments.seconds
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def check(self, part: Part) -> list[report.Line]:
        """A process after another, until all checks of a part have a result, or time is up."""
        log = self._logs / f"{part.column or 'all'}-{'-'.join(part.modules)}.jsonl"
        while True:
            before = len(read(log))
            code = self._process(part, log)
            lines = read(log)
            began = bool(lines) and lines[-1]["outcome"] == BEGAN
            if code in DONE and not began:
                return report.results(lines)
            after = lines[-1]["test"] if lines else "nothing"
            end = {"test": f"the process ended after {after}", "row": "processes", "column": part.column}
            text = f"exit status {'none, no time left' if code is None else code}\n{_last_words(log)}"
            write(log, {**(lines[-1] if began else end), "outcome": report.CRASHED, "text": text})
            if code is None or len(lines) == before:
                return report.results(read(log))

    def _process(self, part: Part, log: Path) -> int | None:
        """Its exit status; `None` if time was up."""
        command = [
            *(sys.executable, *PYTEST),
            *("--log", str(log), "--work", str(self._work)),
            *(["--column", part.column] if part.column else []),
            *(["--rehearse"] if self._rehearse else []),
            *self._chosen,
            *(str(HERE / f"test_{module}.py") for module in part.modules),
        ]
        with log.with_suffix(".txt").open("a") as output:
            try:
                return subprocess.run(
                    command,
                    cwd=ROOT,
                    env=self._environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=max(1, self._deadline - time.monotonic()),
                ).returncode
            except subprocess.TimeoutExpired:
                return None


def _last_words(log: Path) -> str:
    """What a process printed before it ended, without pytest's own frames."""
    lines = log.with_suffix(".txt").read_text(errors="replace").splitlines()
    return "\n".join([line for line in lines if "/_pytest/" not in line and "/pluggy/" not in line][-LAST_LINES:])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description="Checks that need an NVIDIA GPU.")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write the report as text and JSON, and what processes print"
    )
    parser.add_argument("--rehearse", action="store_true", help="on the CPU and on stand-ins, to try the checks")
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=list(COLUMNS), help="engines to check")
    parser.add_argument("-k", metavar="EXPRESSION", help="only some checks, as pytest chooses them")
    parser.add_argument("--seconds", type=float, default=480, help="end what is not done by then (default: 480)")
    arguments = parser.parse_args()
    if not (arguments.rehearse or has_gpu()):
        print("No NVIDIA GPU here: nothing was checked.")
        return 0
    try:
        machine = described(arguments.rehearse)
    except (CudaError, ImportError) as error:
        print(f"The GPU cannot be used: {error}")
        return 1
    with tempfile.TemporaryDirectory(prefix="edgevlm-gpu-") as folder:
        return _run(Path(folder), arguments, machine)


def _run(work: Path, arguments: argparse.Namespace, machine: dict[str, str]) -> int:
    began = time.monotonic()
    logs = Path(arguments.out or work).resolve()
    run = Run(work, logs, arguments)
    together = [Part(("cuda_layer",), None), *(Part(MODELS, name) for name in arguments.columns)]
    alone = [*(Part(("memory",), name) for name in arguments.columns), Part(("sanitizer",), None)]
    with ThreadPoolExecutor(max(1, min(len(together), (os.cpu_count() or 1) // 2))) as pool:
        found = list(pool.map(run.check, together))
    found += [run.check(part) for part in alone]
    checks = [check for part in found for check in part]
    seconds = time.monotonic() - began
    table = report.text(machine, checks, seconds)
    print(table, end="")
    if arguments.out:
        content = {"machine": machine, "seconds": round(seconds, 1), "checks": checks}
        (logs / "report.json").write_text(json.dumps(content, indent=1) + "\n")
        (logs / "report.md").write_text(table)
    return 1 if report.failed(checks) or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
