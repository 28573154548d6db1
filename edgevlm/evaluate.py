"""`edgevlm eval demo`: questions about drawings that were never trained on, answered by the product's own engine."""

import argparse
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm.cli import CommandError

if TYPE_CHECKING:
    from edgevlm_demo.evaluation import EvaluationQuestion
    from edgevlm_server.model import Model

MAX_TOKENS = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", choices=("demo",), help="the questions to ask")
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="bundle to measure (default: the demo model)")
    parser.add_argument(
        "--pictures", type=int, default=100, metavar="N", help="pictures of each scene (default: 100)"
    )
    parser.add_argument("--held-out-wording", action="store_true", help="ask in words that were never trained on")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="write every question and answer as JSON lines")


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_demo.evaluation import evaluation_questions, family_scores, table
    from edgevlm_server.model import load_model
    from edgevlm_server.settings import Settings

    from edgevlm.demo_bundle import find_bundle

    if arguments.pictures < 1:
        raise CommandError("--pictures must be at least 1.")
    questions = evaluation_questions(arguments.pictures, held_out_wording=arguments.held_out_wording)
    model = load_model(find_bundle(arguments.model), Settings(max_batch=1))
    try:
        answered = list(answers(model, questions))
    finally:
        model.engine.close()
    if arguments.answers is not None:
        _write(arguments.answers, answered)
    print(table(family_scores((question.family, said, question.answer) for question, said in answered)), end="")
    return 0


def answers(model: "Model", questions: "Iterable[EvaluationQuestion]") -> "Iterator[tuple[EvaluationQuestion, str]]":
    """Each question with what the model said, greedily. Questions about one picture stand together."""
    from edgevlm_server.offline import answer, encode
    from edgevlm_server.preprocess import preprocess
    from edgevlm_server.prompt import Turn
    from tqdm import tqdm

    progress = tqdm(unit=" questions", desc="Asking", disable=None)
    for _, group in groupby(questions, key=lambda question: (question.scene, question.seed)):
        asked = list(group)
        features = encode(model, [preprocess(asked[0].image, model.manifest.preprocessing)])
        for question in asked:
            turns = [Turn("user", question.text, images=1)]
            yield question, "".join(answer(model, turns, features, max_tokens=MAX_TOKENS))
            progress.update()
    progress.close()


def _write(path: Path, answered: "list[tuple[EvaluationQuestion, str]]") -> None:
    import json

    from edgevlm_demo.evaluation import is_right

    lines = [
        json.dumps(
            {
                "scene": question.scene,
                "seed": question.seed,
                "family": question.family,
                "question": question.text,
                "answer": said,
                "truth": question.answer,
                "right": is_right(said, question.answer),
            },
            ensure_ascii=False,
        )
        for question, said in answered
    ]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
