"""`edgevlm eval demo`: questions about drawings that were never trained on, answered by the product.

By default through HTTP, as a client would ask, by a server that is started for it; `--engine` leaves HTTP out.
"""

import argparse
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_server.option_values import at_least_one

from edgevlm.cli import CommandError

if TYPE_CHECKING:
    from edgevlm_demo.evaluation import EvaluationQuestion

    from edgevlm.evaluation.answerers import Answerer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", choices=("demo",), help="the questions to ask")
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="bundle to measure (default: the demo model)")
    parser.add_argument(
        "--pictures", type=at_least_one, default=100, metavar="N", help="pictures per scene (default: 100)"
    )
    parser.add_argument("--engine", action="store_true", help="ask the engine directly, without HTTP")
    parser.add_argument("--url", help="ask a running server, for example http://127.0.0.1:8000")
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="write every question with its answer as JSON lines"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write an HTML page of the pictures with their answers"
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_demo.evaluation import SETS, comparison, evaluation_questions, family_scores, table

    from edgevlm.evaluation.answerers import answerer
    from edgevlm.evaluation.files import Record, write_answers, write_sheet

    if arguments.url is not None and (arguments.model is not None or arguments.engine):
        raise CommandError("--url asks a server that has its own model: leave out --model and --engine.")
    records: list[Record] = []
    with answerer(arguments.model, arguments.url, directly=arguments.engine) as ask:
        for name, chosen in SETS.items():
            questions = evaluation_questions(arguments.pictures, **chosen._asdict())
            records += [Record(name, question, said) for question, said in _answered(ask, questions, name)]
    if arguments.answers is not None:
        write_answers(arguments.answers, records)
    if arguments.sheet is not None:
        write_sheet(arguments.sheet, records)
    scores = {
        name: family_scores(
            (record.question.family, record.said, record.question.answer) for record in records if record.set == name
        )
        for name in SETS
    }
    print(table(scores[next(iter(SETS))]))
    print(comparison(scores), end="")
    return 0


def _answered(
    ask: "Answerer", questions: "Iterable[EvaluationQuestion]", name: str
) -> "Iterator[tuple[EvaluationQuestion, str]]":
    """Each question with what was said, in order, several at a time."""
    from tqdm import tqdm

    waiting: deque[tuple[EvaluationQuestion, Future[str]]] = deque()
    with ThreadPoolExecutor(ask.concurrent) as pool, tqdm(desc=name, unit=" questions", disable=None) as progress:
        for question in questions:
            waiting.append((question, pool.submit(ask, question)))
            # drawings are made as they are needed: thousands of them would fill the memory
            while len(waiting) >= 4 * ask.concurrent:
                yield _first(waiting)
                progress.update()
        while waiting:
            yield _first(waiting)
            progress.update()


def _first(
    waiting: deque[tuple["EvaluationQuestion", Future[str]]],
) -> "tuple[EvaluationQuestion, str]":
    question, future = waiting.popleft()
    return question, future.result()
