"""`python -m benchmarks.shapes_answer BUNDLE`: loads a bundle, answers about a picture, prints what it took as JSON.

A process of its own, so that its memory is the model's.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edgevlm_server.images.decode.preprocess import preprocess
from edgevlm_server.model import load_model
from edgevlm_server.offline import answer, encode
from edgevlm_server.settings import Settings
from edgevlm_server.text.prompt import Mark, Turn
from PIL import Image
from pydantic import TypeAdapter

from benchmarks.command import run_command
from benchmarks.measure import memory

TOKENS = 4
MAX_LENGTH = 512
"""Positions of the one slot: room for a picture and a few words."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Seconds to load and to answer `tokens` tokens about a picture; the largest memory in bytes."""

    loading: float
    answering: float
    tokens: int
    peak_memory: int


JSON = TypeAdapter(Answered)


def measure(bundle: Path) -> Answered:
    """Raises `EngineError` for a bundle that does not load, or whose logits are not numbers."""
    start = time.perf_counter()
    model = load_model(bundle, Settings.offline(max_length=MAX_LENGTH))
    loaded = time.perf_counter()
    try:
        pixels = preprocess(Image.linear_gradient("L").convert("RGB"), model.manifest.preprocessing)
        turns = [Turn("user", (Mark.IMAGE, "What is this?"))]
        pieces = list(answer(model, turns, encode(model, [pixels]), max_tokens=TOKENS))
    finally:
        model.engine.close()
    # the last piece is what the text still held back
    return Answered(loaded - start, time.perf_counter() - loaded, len(pieces) - 1, memory().peak)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes_answer", description=__doc__)
    parser.add_argument("bundle", type=Path)
    print(JSON.dump_json(measure(parser.parse_args().bundle)).decode())


if __name__ == "__main__":
    sys.exit(run_command(main))
