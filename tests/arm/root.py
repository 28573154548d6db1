"""A Debian root for 64-bit Arm with edgevlm installed, whose programs qemu runs. Knows nothing of what is tried.

The root and the wheels are kept from one run to the next; edgevlm itself is installed anew, from this checkout.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import tomli

from tests.boundaries.walls import ROOT

HOME = ROOT / ".venv" / "arm"
MAKE_ROOT = Path(__file__).with_name("make_root")
FORMATS = Path("/proc/sys/fs/binfmt_misc")
"""Where the kernel is told what runs programs that are not its own."""

CPUS = ("cortex-a76", "max")
"""Processors of qemu: the one nearest to an Orin's Cortex-A78AE, and all that it can emulate."""

EXTRAS = ("cpu", "heic")
PYTHON = "3.11"
"""Debian 12's."""
GLIBC = 36
"""Debian 12's is 2.36."""


def missing() -> str | None:
    """One sentence about what this machine lacks, `None` if nothing."""
    tools = ("qemu-aarch64-static", "update-binfmts", "mmdebstrap", "unshare", "chroot")
    if os.geteuid() == 0 and Path("/etc/debian_version").exists() and all(map(shutil.which, tools)):
        return None
    return (
        "Running the Arm tests takes root, Debian and its packages qemu-user-static, binfmt-support and mmdebstrap; "
        "tests/install_tools installs them."
    )


def prepare() -> Path:
    """The root, with the wheels that edgevlm needs in its folder `site`; made if it is not there as it should be."""
    root, made, recipe = HOME / "root", HOME / "made", _recipe()
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _let_qemu_run()
        if not made.exists() or made.read_text() != recipe:
            made.unlink(missing_ok=True)
            _make(root)
            made.write_text(recipe)
    return root


def fill(work: Path) -> None:
    """What a run has in the root as `/mnt`: edgevlm, as pip installs it from here, and what it is tried on."""
    work.mkdir(exist_ok=True)
    _install_product(work / "product")
    shutil.copytree(ROOT / "tests/data/golden", work / "golden")
    shutil.copy(Path(__file__).with_name("sizes.py"), work)


def _install_product(folder: Path) -> None:
    # setuptools builds in the source tree, and what it leaves there would be in the next wheel
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "tests", "__pycache__")
    source = shutil.copytree(ROOT, folder.with_name("source"), ignore=unwanted)
    _install(folder, "--no-deps", str(source))


def _let_qemu_run() -> None:
    if not (FORMATS / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", FORMATS], check=True)
    if not (FORMATS / "qemu-aarch64").exists():
        subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], check=True)


def _make(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run([MAKE_ROOT, root], check=True)
    _install(root / "site", *_for_arm(), *_requirements())


def _recipe() -> str:
    """Changes with whatever decides what is in the root."""
    how = (path.read_text() for path in (MAKE_ROOT, Path(__file__)))
    return hashlib.sha256("\n".join([*how, *_requirements()]).encode()).hexdigest()


def _requirements() -> list[str]:
    project: dict[str, Any] = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for extra in EXTRAS for name in project["optional-dependencies"][extra]]
    return [*project["dependencies"], *extras]


def _for_arm() -> list[str]:
    """Makes pip choose wheels for the root, and not for the Python that it runs in."""
    tags = [f"manylinux_2_{minor}_aarch64" for minor in range(17, GLIBC + 1)]
    abis = (f"cp{PYTHON.replace('.', '')}", "abi3", "none")
    return [
        *("--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"),
        *(f"--abi={abi}" for abi in abis),
        *(f"--platform={tag}" for tag in (*tags, "manylinux2014_aarch64", "any")),
    ]


def _install(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, f"--target={folder}", *arguments], check=True)


class Arm:
    """Runs Python in the root, on one of qemu's processors. `work` is a folder that was filled, `/mnt` inside."""

    def __init__(self, root: Path, work: Path, cpu: str) -> None:
        self._root = root
        self._work = work
        self._cpu = cpu

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One that has ended, however it did, with what it printed."""
        return subprocess.run(self._command(arguments), env=self._environment, capture_output=True, text=True)

    @contextmanager
    def running(self, *arguments: str, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
        """A process until the end of the block; what it complains of goes to `log`."""
        process = subprocess.Popen(self._command(arguments), env=self._environment, stderr=log)
        try:
            yield process
        finally:
            # with it end all that it began
            process.kill()
            process.wait()

    @property
    def _environment(self) -> dict[str, str]:
        ours = {"PYTHONPATH": "/mnt/product:/site", "HOME": "/mnt", "TMPDIR": "/mnt", "QEMU_CPU": self._cpu}
        return {"PATH": os.environ["PATH"], **ours}

    def _command(self, arguments: Sequence[str]) -> list[str]:
        """The mounts are seen by these processes alone, and go with them."""
        script = 'mount -t proc proc "$0/proc" && mount --bind "$1" "$0/mnt" && exec chroot "$0" python3 "${@:2}"'
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return [*own, "bash", "-c", script, str(self._root), str(self._work), *arguments]
