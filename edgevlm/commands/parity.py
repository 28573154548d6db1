"""`edgevlm parity`: the product's own code against tensors that upstream's code computed from the same checkpoint.

A case is a folder with `checkpoint/`, `clip/`, `image.png`, `ref.json` (its `prompt`) and `ref.npz` (float32).
"""

import argparse
from pathlib import Path

from edgevlm.cli import EXIT_FAILED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("case", type=Path, help="folder with checkpoint/, clip/, image.png, ref.json and ref.npz")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-3,
        metavar="X",
        help="largest difference allowed in features and logits (default: 1e-3)",
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm.accuracy.parity import compare

    stages = compare(arguments.case, arguments.tolerance)
    print(f"{'stage':<34}{'largest difference':>20}{'allowed':>12}")
    for stage in stages:
        verdict = "" if stage.passed else "   FAILED"
        print(f"{stage.name:<34}{stage.difference:>20.3g}{stage.tolerance:>12.3g}{verdict}")
    return 0 if all(stage.passed for stage in stages) else EXIT_FAILED
