"""How the demo model fares on pictures by other hands: `python -m benchmarks.unseen [BUNDLE | --url URL]`.

Needs fonts of Debian's packages, which it names if they are missing, and for photographs the extra `unseen`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from benchmarks.command import run_command
from benchmarks.machine import heading
from benchmarks.unseen import fonts, nothing
from benchmarks.unseen.families import FAMILIES, PHOTOGRAPHS, questions
from benchmarks.unseen.sheet import write_sheet
from benchmarks.unseen.tally import Result, judged, report
from edgevlm.errors import CommandError
from edgevlm.evaluation import calibration
from edgevlm.evaluation.answerers import Answerer, answerer
from edgevlm.evaluation.asking import answered
from edgevlm.evaluation.forms import WAYS
from edgevlm.key_file import read_key


def results(ask: Answerer, families: Sequence[str], count: int, seed: int) -> Iterator[tuple[Result, Image.Image]]:
    """Every question of these families with its answer, and its picture, which is large."""
    for family in families:
        for question, said in answered(ask, questions(family, count, seed), family):
            yield Result(family, question.text, question.truth, said), question.image


def main() -> None:
    options = _parser().parse_args()
    if options.url and (options.bundle or options.engine):
        raise CommandError("--url asks a server that has its own model: leave out BUNDLE and --engine.")
    if options.key_file and not options.url:
        raise CommandError("--key-file is for a running server: name it with --url.")
    if options.engine and options.form != "free":
        raise CommandError("The engine is asked freely: leave out --form or --engine.")
    families = _chosen(options.family)
    fonts.check()
    if PHOTOGRAPHS in families:
        nothing.check()
    bundle = None if options.bundle in (None, "demo") else Path(options.bundle)
    key = read_key(options.key_file) if options.key_file else None
    with answerer(bundle, options.url, key, directly=options.engine, way=options.form) as ask:
        found: list[Result] = []
        pictures: list[Image.Image] = []
        for result, picture in results(ask, families, options.pictures, options.seed):
            found.append(result)
            if options.sheet:
                pictures.append(picture)
    print(f"{heading()}\n\n{report(found)}\n\n{calibration.report(judged(found))}")
    if options.answers:
        options.answers.write_text("".join(map(_line, found)), encoding="utf-8")
    if options.sheet:
        write_sheet(options.sheet, pictures, found)


def _chosen(named: Sequence[str]) -> list[str]:
    """Families whose name begins as one of these; all of them if there are none."""
    chosen = [family for family in FAMILIES if not named or family.startswith(tuple(named))]
    if not chosen:
        raise CommandError(f"There is no such family. There are: {'; '.join(FAMILIES)}")
    return chosen


def _line(result: Result) -> str:
    fields = {
        "family": result.family,
        "question": result.text,
        "answer": result.said.text,
        "truth": str(result.truth),
        "outcome": result.outcome,
        "confidence": round(result.said.confidence, 6),
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.unseen", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("bundle", nargs="?", help="folder made by 'edgevlm export' (default: demo, the demo model)")
    parser.add_argument("--url", help="ask a running server, for example http://127.0.0.1:8000")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="file that holds the running server's API key")
    parser.add_argument(
        "--engine", action="store_true", help="ask the engine directly, and find the temperature that fits best"
    )
    parser.add_argument(
        "--form",
        choices=WAYS,
        default="free",
        help="how to ask: freely, in JSON, or as a reading's field (default: free)",
    )
    parser.add_argument("--pictures", type=int, default=30, metavar="N", help="of each family (default: 30)")
    parser.add_argument(
        "--family", action="append", default=[], help="only those whose name begins so; again for more"
    )
    parser.add_argument("--seed", type=int, default=0, help="other pictures of the same kinds (default: 0)")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="write every answer as JSON lines")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write the pictures with their answers as PNG")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
