"""`python -m tests.gpu.pack DIR`: what `make gpu` needs on a machine that reaches no package registry, in pieces.

That machine has x86-64 Linux, Python 3.12, an NVIDIA GPU, PyTorch with CUDA 13's libraries, pytest with
pytest-timeout, hypothesis and httpx. The pieces bring ONNX Runtime for CUDA, TensorRT-RTX and what edgevlm imports.
Takes minutes, most of them to compress.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.gpu.fatbin import prune
from tests.tensorrt.environments import TWINS

PYTHON = "3.12"
RUNTIMES = (
    "onnxruntime-gpu==1.31.1",
    f"tensorrt-rtx-cu13-bindings=={TWINS[0]}",
    f"tensorrt-rtx-cu13-libs=={TWINS[0]}",
    "cuda-bindings==13.2.0",
    "cuda-pathfinder",
)
"""Without what they depend on: CUDA comes with PyTorch."""

ROOT = Path(__file__).parents[2]
SYSTEMS = (35, 34, 31, 28, 27, 26, 24, 17)
"""Versions of glibc that wheels may be made for."""

PIECE = 40 * 10**6

UNNEEDED = (
    *(f"onnxruntime/{folder}" for folder in ("transformers", "quantization", "tools")),
    "onnxruntime/capi/libonnxruntime_providers_tensorrt.so",
)

FILES = {
    "tensorrt_rtx/__init__.py": """\
from tensorrt_rtx_bindings import *
from tensorrt_rtx_bindings import __version__
""",
    # the bindings ask for their libraries by name
    "tensorrt_rtx_libs/__init__.py": """\
import ctypes
from pathlib import Path

for path in sorted(Path(__file__).parent.glob("*.so*"), reverse=True):
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
""",
    "edgevlm-0.dist-info/METADATA": "Metadata-Version: 2.1\nName: edgevlm\nVersion: 0\n",
}
"""What a wheel that is built at its installation would have made, and the project's own version."""

README = """\
What `python -m tests.gpu` needs beside the repository, made by `make gpu-pack`. In the repository's root, with PIECES
the folder of this file and SITE a new one, both from `/` on:

    mkdir SITE && cat PIECES/site.* | xz -dc | tar -x -C SITE
    nvidia=$(python3 -c 'import glob, nvidia; print(":".join(glob.glob(nvidia.__path__[0] + "/*/lib")))')
    export LD_LIBRARY_PATH=SITE/tensorrt_rtx_libs:$nvidia
    export PYTHONPATH=SITE:.:server:engines:export:demo
    python3 -m tests.gpu --out RESULTS
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.pack", description="Pieces for a machine with a GPU.")
    parser.add_argument("folder", type=Path, help="where the pieces go")
    parser.add_argument(
        "--sm", type=int, nargs="+", default=[90], help="compute capabilities, without the point (default: 90)"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        _install(site, RUNTIMES, "--no-deps")
        _install(site, _dependencies())
        _reduce(site, arguments.sm)
        for name, text in FILES.items():
            (site / name).parent.mkdir(exist_ok=True)
            (site / name).write_text(text)
        pieces = _compress(site, arguments.folder)
    (arguments.folder / "README").write_text(README)
    print(f"{len(pieces)} pieces, {sum(piece.stat().st_size for piece in pieces) / 1e6:.0f} MB")


def _dependencies() -> list[str]:
    """What edgevlm itself depends on."""
    import tomli

    project = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return list(project["dependencies"])


def _install(site: Path, requirements: Sequence[str], *options: str) -> None:
    tags = [f"manylinux_2_{minor}_x86_64" for minor in SYSTEMS] + ["manylinux2014_x86_64"]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--target", str(site), "--upgrade", "--only-binary", ":all:", "--python-version", PYTHON, *options),
        *(argument for tag in tags for argument in ("--platform", tag)),
        *requirements,
    ]
    subprocess.run(command, check=True)


def _reduce(site: Path, compute: Sequence[int]) -> None:
    for name in UNNEEDED:
        path = site / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    sizes = prune(site / "onnxruntime/capi/libonnxruntime_providers_cuda.so", compute)
    if missing := set(compute) - sizes.keys():
        raise SystemExit(f"ONNX Runtime has no code for {missing}, only for {sorted(sizes)}.")


def _compress(site: Path, folder: Path) -> list[Path]:
    """The pieces, in order; those of before are removed."""
    for old in folder.glob("site.*"):
        old.unlink()
    pieces: list[Path] = []
    command = f"tar -C '{site}' -cf - . | xz -T0 -6"
    with subprocess.Popen(["bash", "-o", "pipefail", "-c", command], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while content := process.stdout.read(PIECE):
            pieces.append(folder / f"site.{len(pieces):02}")
            pieces[-1].write_bytes(content)
    if process.returncode:
        raise SystemExit("tar or xz failed.")
    return pieces


if __name__ == "__main__":
    main()
