"""`python -m tests.arm`: runs edgevlm on 64-bit Arm, as far as an x86-64 machine can tell, and prints a table."""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from edgevlm_server.version import commit

from tests.arm import checks, images
from tests.arm.checks import Row
from tests.arm.root import CPUS, Arm, fill, missing, prepare


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.arm", description=__doc__)
    parser.add_argument("--cpu", action="append", metavar="NAME", help=f"of qemu's (default: {' and '.join(CPUS)})")
    parser.add_argument("--no-images", action="store_true", help="leave out the images, which take longest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    arguments = parser.parse_args()
    if sentence := missing():
        print(sentence, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder), arguments.cpu or list(CPUS), with_images=not arguments.no_images)
    print(as_text(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(row["passed"] for row in report["rows"]) else 1


def run(folder: Path, cpus: list[str], *, with_images: bool) -> dict[str, Any]:
    """All checks; `folder` is thrown away. What is done goes to standard error as it is done."""
    tried, root, work = commit(), prepare(), folder / "work"
    fill(work)
    arms = {cpu: Arm(root, work, cpu) for cpu in cpus}
    rows = [told(cpu, row) for cpu, arm in arms.items() for row in checks.rows(arm)]
    if with_images:
        settings = folder / "podman"
        settings.mkdir()
        rows += [told(cpus[0], row) for row in images.rows(settings, cpus[0])]
    versions = {"qemu": qemu(), **checks.versions(arms[cpus[0]])}
    return {"date": f"{date.today()}", "commit": tried, "versions": versions, "rows": rows}


def told(cpu: str, row: Row) -> dict[str, Any]:
    print(f"{cpu}: {row.check}: {'' if row.passed else 'FAILED: '}{row.seen}", file=sys.stderr, flush=True)
    return {"cpu": cpu, **row._asdict()}


def qemu() -> str:
    said = subprocess.run(["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]


def as_text(report: dict[str, Any]) -> str:
    """A table with a column for each processor."""
    cpus = list(dict.fromkeys(row["cpu"] for row in report["rows"]))
    checked = list(dict.fromkeys(row["check"] for row in report["rows"]))
    seen = {(row["check"], row["cpu"]): row["seen"] if row["passed"] else "FAILED" for row in report["rows"]}
    lines = [["", *cpus], ["---"] * (len(cpus) + 1)]
    lines += [[check, *(seen.get((check, cpu), "") for cpu in cpus)] for check in checked]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    head = f"{report['date']}, commit {(report['commit'] or 'unknown')[:12]}: {versions}"
    return "\n".join([head, "", *(f"| {' | '.join(line)} |" for line in lines)])


if __name__ == "__main__":
    sys.exit(main())
