"""Folders with other people's compiled code, which `make check` installs, and processes that see one of them each."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = Path(sys.prefix) / "tensorrt"

TWINS = ("1.4.0.76", "1.7.1.116")
"""Versions of TensorRT-RTX: the first has 10.16's network interface, the second that of 11."""
BINDINGS = ("10.3.0", "10.13.3.9", "11.4.0.106")
"""Versions of TensorRT's Python layer, over libraries that do nothing."""
CUDA = ("cuda-python-12.6.2.post1", "cuda-bindings-13.2.0")
"""CUDA's Python layer, of JetPack 6 and of JetPack 7."""


def environment(name: str) -> dict[str, str]:
    """Variables for a process that finds one folder's modules, and ours. The folder must be there."""
    folder = HOME / name
    assert (folder / "installed").is_file(), f"{folder} is not installed: run 'make check', which does it"
    ours = [str(ROOT / room) for room in (".", "server", "engines", "export", "demo")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), *ours]),
        "LD_LIBRARY_PATH": str(folder),
    }
