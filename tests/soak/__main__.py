"""`python -m tests.soak`: a soak with its progress and a table of figures. Exit status 1 if something is wrong."""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from edgevlm_export.exporter import export_bundle
from tqdm import tqdm

from benchmarks.machine import heading
from benchmarks.report import table
from tests.soak.ledger import Ledger
from tests.soak.run import LEAKED, Soak, Verdict, soak
from tests.soak.watch import Reading, fifths

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "v2"


def mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def figures(verdict: Verdict) -> str:
    """The table."""
    ledger, after = verdict.ledger, verdict.after
    completed = verdict.metrics["edgevlm_requests_completed_total"]
    peak = max(reading.memory for reading in verdict.readings)
    rows = [
        ("requests sent", str(ledger.sent)),
        ("answered, each as alone", str(ledger.answered)),
        ("left by their client", str(ledger.cancelled)),
        (
            "refused, as they must be",
            str(ledger.refused.total() - ledger.refused["queue_full"] - ledger.lost.total()),
        ),
        ("told that the queue is full", str(ledger.refused["queue_full"])),
        ("decoding processes killed", str(verdict.killed)),
        ("requests that waited for their pictures", str(ledger.lost.total())),
        ("pictures lost with them", str(len(ledger.lost))),
        ("completed, by the metrics", f"{completed:.0f}"),
        ("memory after the warm-up", mib(verdict.before.memory)),
        ("memory in each fifth of the time", ", ".join(mib(memory) for memory in fifths(verdict.readings))),
        ("memory at its highest", mib(peak)),
        ("memory at the end", mib(after.memory)),
        ("descriptors before and after", f"{verdict.before.descriptors}, {after.descriptors}"),
        ("threads before and after", f"{verdict.before.threads}, {after.threads}"),
    ]
    return table(["", "figure"], rows)


def run(plan: Soak) -> Verdict:
    """With a bar that shows the time and what has happened so far."""
    with tqdm(total=round(plan.seconds), unit="s", disable=None) as bar:

        def progress(left: float, ledger: Ledger, reading: Reading) -> None:
            bar.update(min(round(plan.seconds - left), bar.total) - bar.n)
            bar.set_postfix_str(f"{ledger.sent} requests, {mib(reading.memory)}, {len(ledger.problems)} problems")

        return soak(plan, progress)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--streams", type=int, default=16, help="clients at once (default: 16)")
    parser.add_argument("--leak", action="store_true", help="the control: a server that leaks must be caught")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        export_bundle(GOLDEN / "checkpoint", bundle, vision_tower=GOLDEN / "clip", name="soak")
        leaked = LEAKED if arguments.leak else 0
        verdict = run(Soak(bundle, 60 * arguments.minutes, streams=arguments.streams, leaked=leaked))
    print(f"`{shlex.join(['python', '-m', 'tests.soak', *sys.argv[1:]])}`\n\n{heading()}\n\n{figures(verdict)}\n")
    for sentence in verdict.wrong:
        print(f"wrong: {sentence}")
    if not verdict.wrong:
        print("Nothing was lost, mixed up or left behind.")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
