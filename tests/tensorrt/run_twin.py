"""Asks a twin for builds, and waits for its answers."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.tensorrt.environments import ROOT, environment

Answer = dict[str, Any]

STANDS_FOR = {"1.4.0.76": "10.16.0", "1.7.1.116": "11.4.0"}
"""The TensorRT with the same network interface as each version of TensorRT-RTX."""


def run_twin(version: str, jobs: Sequence[dict[str, Any]]) -> list[Answer]:
    """An answer for each job: `sizes`, `warnings`, `errors`, `work_bytes`, `seconds` and `peak_mib`, or `error`.

    `work_bytes` is the memory that each profile works in, of the vision plan and then of the decoder's.
    """
    command = [sys.executable, "-m", "tests.tensorrt.twin"]
    lines = "".join(json.dumps({"tensorrt": STANDS_FOR[version], **job}) + "\n" for job in jobs)
    process = subprocess.run(
        command, input=lines, env=environment(f"twin-{version}"), cwd=ROOT, capture_output=True, text=True
    )
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(answers) == len(jobs), process.stderr
    return answers
