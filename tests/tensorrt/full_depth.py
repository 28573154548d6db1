"""`python -m tests.tensorrt.full_depth CHECKPOINT`: a whole model's plans on TensorRT-RTX, with time and memory.

Too much for the tests: gigabytes of weights (`python -m benchmarks.random_checkpoint` draws them) and of memory. It
shows that nothing depends on the number of layers; what it takes says nothing of a Jetson, where kernels are timed.
"""

import argparse
import tempfile
from pathlib import Path
from typing import get_args

from edgevlm_engines.names import Precision
from edgevlm_export.exporter import export_bundle

from benchmarks.machine import heading
from benchmarks.random_checkpoint import CLIP
from edgevlm.progress import Bar
from tests.tensorrt.environments import TWINS
from tests.tensorrt.run_twin import run_twin

DEVICES = ("jetpack6", "jetpack7")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tensorrt.full_depth", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder in the published layout")
    parser.add_argument("--device", choices=DEVICES, default=DEVICES[1])
    parser.add_argument("--precision", choices=get_args(Precision), default="fp16")
    parser.add_argument("--twin", choices=TWINS, default=TWINS[1], help="version of TensorRT-RTX")
    parser.add_argument("--max-batch", type=int, default=8, metavar="SLOTS")
    parser.add_argument("--max-length", type=int, default=2048, metavar="N")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where bundle and plans lie meanwhile")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        print(_report(arguments, Path(folder)))


def _report(arguments: argparse.Namespace, folder: Path) -> str:
    export_bundle(
        arguments.checkpoint,
        folder / "bundle",
        vision_tower=arguments.checkpoint / CLIP,
        device=arguments.device,
        precision=arguments.precision,
        vision_precision="fp16",
        progress=Bar("Exporting"),
    )
    job = {
        "bundle": str(folder / "bundle"),
        "plans": str(folder / "plans"),
        "slots": arguments.max_batch,
        "max_length": arguments.max_length,
    }
    [answer] = run_twin(arguments.twin, [job])
    what = (
        f"{arguments.checkpoint.name} for {arguments.device} in {arguments.precision}, {arguments.max_batch} slots "
        f"of {arguments.max_length} positions, on TensorRT-RTX {arguments.twin} without a GPU"
    )
    if "error" in answer:
        return f"{heading()}\n{what}: {answer['error']}"
    sizes = ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in answer["sizes"].items())
    weights = (folder / "bundle" / "decoder.data").stat().st_size + (folder / "bundle" / "vision.data").stat().st_size
    work = ", ".join(f"{size / 1e6:.0f} MB" for size in answer["work_bytes"])
    return (
        f"{heading()}\n{what}:\n{sizes}, of {weights / 1e9:.2f} GB of weights; {answer['seconds']:.0f} s, "
        f"{answer['peak_mib'] / 1024:.1f} GiB at most; warnings: {answer['warnings'] or 'none'}\n"
        f"work memory of the profiles, vision and decoder: {work}"
    )


if __name__ == "__main__":
    main()
