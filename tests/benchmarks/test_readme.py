"""The README names commands that exist."""

import re
from importlib.util import find_spec

from benchmarks.machine import ROOT


def test_every_benchmark_that_the_readme_names_can_be_run() -> None:
    text = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    names = re.findall(r"python -m benchmarks\.(\w+)", text) + re.findall(r"^\| `(\w+)[^|]*\| ", text, re.MULTILINE)
    assert {"engine", "growth", "against_llamacpp", "random_checkpoint"} <= set(names)
    for name in names:
        assert find_spec(f"benchmarks.{name}"), name
