"""`python -m benchmarks.random_checkpoint SHAPE FOLDER`: a checkpoint in the published layout with random weights.

What it says is noise, what it costs is real: speed and memory depend on sizes and not on what was learnt.
"""

import argparse
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

from edgevlm_export.bundle_writer import Progress

from benchmarks.machine import cores
from benchmarks.random_tensors import Tensor, all_tensors, draw
from benchmarks.random_tokenizer import tokenizer_model
from benchmarks.shapes import SHAPES, Json, Shape, clip_config, model_config, tokenizer_config
from edgevlm.progress import Bar

WEIGHTS = "model.safetensors"
CLIP = "clip"
"""Folder inside the checkpoint's that states the tower's sizes, for `edgevlm export --vision-tower`."""


def write_checkpoint(shape: Shape, folder: Path, seed: int, progress: Progress) -> None:
    """Write the folder, the weights last: a folder that has them is complete."""
    (folder / CLIP).mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", model_config(shape))
    _write_json(folder / "tokenizer_config.json", tokenizer_config())
    _write_json(folder / CLIP / "config.json", clip_config(shape.tower))
    (folder / "tokenizer.model").write_bytes(tokenizer_model(shape.vocabulary))
    part = folder / f"{WEIGHTS}.part"
    _write_weights(part, list(all_tensors(shape)), seed, progress)
    os.replace(part, folder / WEIGHTS)


def _write_json(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_weights(path: Path, tensors: list[Tensor], seed: int, progress: Progress) -> None:
    """A safetensors file in float16; one tensor a core is in memory. Its bytes do not depend on the cores."""
    progress.start(sum(tensor.size for tensor in tensors))
    header = _safetensors_header(tensors)
    starts = accumulate((tensor.size for tensor in tensors), initial=len(header))
    with path.open("wb") as file, ThreadPoolExecutor(cores()) as pool:
        file.write(header)
        file.flush()

        def write(tensor: Tensor, start: int) -> int:
            # numpy draws without the interpreter's lock
            return os.pwrite(file.fileno(), draw(tensor, seed).data, start)

        for written in pool.map(write, tensors, starts):
            progress.advance(written)
    progress.finish()


def _safetensors_header(tensors: list[Tensor]) -> bytes:
    entries, end = {}, 0
    for tensor in tensors:
        start, end = end, end + tensor.size
        entries[tensor.name] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    # padded so that the values begin at a multiple of eight
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.random_checkpoint", description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path, help="folder to write; 3.3 GB for 1.7B, 6.0 GB for 3B")
    parser.add_argument("--layers", type=int, help="decoder layers, if not as many as the shape has")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    shape = SHAPES[arguments.shape]
    if arguments.layers is not None:
        shape = shape.with_layers(arguments.layers)
    write_checkpoint(shape, arguments.folder, arguments.seed, Bar(f"Drawing {arguments.shape}"))
    print(f"{arguments.folder}: {arguments.shape}, {shape.layers} decoder layers, seed {arguments.seed}")


if __name__ == "__main__":
    main()
