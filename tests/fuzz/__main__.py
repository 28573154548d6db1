"""`python -m tests.fuzz`: every reader fuzzed by coverage for some seconds each, with atheris.

It begins with the corpus of the repository; what covers more is kept in `--work` for the next time. An input that
breaks a reader becomes a file of the corpus, and the exit status is 1.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"

FUZZED = ("edgevlm", "edgevlm_engines", "edgevlm_export", "edgevlm_server")

LONGEST = 16_384
"""Bytes of an input."""

FUZZER = f"""
import sys
import atheris
with atheris.instrument_imports(include={FUZZED!r}):
    from tests.fuzz.targets import TARGETS
atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
"""


def fuzz(target: str, seconds: int, work: Path) -> bool:
    """Whether nothing was found. The fuzzer ends its process, so it has one of its own."""
    kept, mine = work / target, CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={mine}/",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-c", FUZZER, target, *options, str(kept), str(mine)]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    lines = ended.stderr.splitlines()
    executed = [line.rpartition(" ")[2] for line in lines if "number_of_executed_units" in line]
    covered = [line.split("cov:")[1].split()[0] for line in lines if "cov:" in line]
    print(f"{target}: {''.join(executed) or 'no'} inputs, {''.join(covered[-1:]) or 0} branches covered", flush=True)
    if ended.returncode:
        print("\n".join(lines[-40:]), flush=True)
    return ended.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", default=[], metavar="TARGET", help=f"(default: all) {', '.join(TARGETS)}"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each (default: 60)")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"), help="(default: build/fuzz)")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - TARGETS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    well = [fuzz(name, arguments.seconds, arguments.work) for name in arguments.targets or TARGETS]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
