"""`edgevlm eval`: questions whose answers are known, asked of the product through HTTP, as a client would ask.

`demo` asks about drawings that were never trained on; the others are benchmarks that MobileVLM publishes scores of.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_server.option_values import at_least_one

from edgevlm.errors import CommandError
from edgevlm.evaluation.published.question import NAMES
from edgevlm.key_file import read_key

if TYPE_CHECKING:
    from edgevlm.evaluation.forms import Way
    from edgevlm.evaluation.published.target import Target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sets = parser.add_subparsers(dest="set", required=True, metavar="SET")
    _add_demo(sets.add_parser("demo", help="drawings of factory scenes, for the demo model"))
    for name in NAMES:
        _add_published(sets.add_parser(name, help="a published benchmark, whose files you have"))


def _add_demo(parser: argparse.ArgumentParser) -> None:
    _add_who(parser)
    parser.add_argument(
        "--pictures", type=at_least_one, default=100, metavar="N", help="pictures per scene (default: 100)"
    )
    parser.add_argument(
        "--engine",
        action="store_true",
        help="ask the engine directly, without HTTP; this also finds the confidence temperature that fits best",
    )
    parser.add_argument(
        "--forms",
        action="store_true",
        help="ask each question freely, in JSON and as a reading's field, and compare",
    )
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="write every question with its answer as JSON lines"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write an HTML page of the pictures with their answers"
    )


def _add_published(parser: argparse.ArgumentParser) -> None:
    _add_who(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the benchmark's files")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="measure two bundles or servers, and say whether they differ by more than chance",
    )
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="FILE",
        help="file of answers, as the official scorers read it; what it already holds is not asked again "
        "(default: SET-BUNDLE-DIGEST.jsonl or SET-ADDRESS.jsonl)",
    )
    parser.add_argument(
        "--concurrent", type=at_least_one, default=8, metavar="N", help="questions at a time (default: 8)"
    )
    parser.add_argument("--limit", type=at_least_one, metavar="N", help="only the first N questions")


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="bundle to measure (default: the demo model)")
    parser.add_argument("--url", help="ask a running server, for example http://127.0.0.1:8000")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="file that holds a running server's API key")


def run(arguments: argparse.Namespace) -> int:
    if arguments.url is not None and (arguments.model is not None or getattr(arguments, "engine", False)):
        raise CommandError("--url asks a server that has its own model: leave out --model and --engine.")
    if arguments.set != "demo":
        return _published(arguments)
    return _forms(arguments) if arguments.forms else _demo(arguments)


def _published(arguments: argparse.Namespace) -> int:
    from edgevlm.evaluation.published.compare import compare
    from edgevlm.evaluation.published.run import Job, answer_path, load, measure
    from edgevlm.evaluation.published.target import bundle_of

    named = _named(arguments)
    data, limit, key = arguments.data, arguments.limit, _key(arguments.key_file, named)
    job = Job(arguments.set, data, arguments.answers, arguments.concurrent, limit, key)
    targets = [target if isinstance(target, str) else bundle_of(target) for target in named]
    if len({answer_path(job, target) for target in targets}) < len(targets):
        raise CommandError(
            f"Both would keep their answers in {answer_path(job, targets[0])}: compare two different models."
        )
    measured = [measure(job, target) for target in targets]
    if arguments.compare is not None:
        print(f"\n{compare(load(job.name), *measured).text()}")
    return 0


def _named(arguments: argparse.Namespace) -> "list[Target | None]":
    """Who is to be asked, one after the other; `None` is the demo model."""
    from edgevlm.evaluation.published.target import server_or_model

    if arguments.compare is None:
        return [arguments.url or arguments.model]
    if arguments.url or arguments.model or arguments.answers:
        raise CommandError("--compare names both models and their files: leave out --url, --model and --answers.")
    return [server_or_model(text) for text in arguments.compare]


def _key(file: Path | None, named: "Sequence[Target | None]") -> str | None:
    if file is None:
        return None
    if not any(isinstance(target, str) for target in named):
        raise CommandError("--key-file is for a running server: leave it out for a bundle.")
    return read_key(file)


def _demo(arguments: argparse.Namespace) -> int:
    from edgevlm_demo.evaluation import SETS, comparison, evaluation_questions, family_scores, table

    from edgevlm.evaluation.answerers import answerer
    from edgevlm.evaluation.asking import answered
    from edgevlm.evaluation.calibration import report
    from edgevlm.evaluation.files import Record, write_answers, write_sheet

    records: list[Record] = []
    key = _key(arguments.key_file, [arguments.url])
    with answerer(arguments.model, arguments.url, key, directly=arguments.engine) as ask:
        for name, chosen in SETS.items():
            questions = evaluation_questions(arguments.pictures, **chosen._asdict())
            records += [Record(name, question, said) for question, said in answered(ask, questions, name)]
    scores = {
        name: family_scores(
            (record.question.family, record.said.text, record.question.answer)
            for record in records
            if record.set == name
        )
        for name in SETS
    }
    print(table(scores[next(iter(SETS))]))
    print(comparison(scores))
    print(report([record.judged for record in records if not record.said.refused]), flush=True)
    # behind the tables: they are not lost where a file cannot be written
    if arguments.answers is not None:
        write_answers(arguments.answers, records)
    if arguments.sheet is not None:
        write_sheet(arguments.sheet, records)
    return 0


def _forms(arguments: argparse.Namespace) -> int:
    from edgevlm_demo.evaluation import evaluation_questions

    from edgevlm.evaluation.answerers import HttpAnswerer, asked_server
    from edgevlm.evaluation.asking import answered
    from edgevlm.evaluation.files import Record
    from edgevlm.evaluation.forms import WAYS
    from edgevlm.evaluation.ways import Outcome, report

    if arguments.engine or arguments.answers or arguments.sheet:
        raise CommandError("--forms are asked of a server, for one table: leave out --engine, --answers and --sheet.")
    found: dict[Way, list[Outcome]] = {}
    key = _key(arguments.key_file, [arguments.url])
    with asked_server(arguments.model, arguments.url, key) as server:
        for way in WAYS:
            said = answered(HttpAnswerer(server, way), evaluation_questions(arguments.pictures), way)
            found[way] = [Record(way, *pair).outcome for pair in said]
    print(report(found))
    return 0
