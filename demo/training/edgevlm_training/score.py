"""`python -m edgevlm_training.score`: greedy answers of the exported checkpoint to held-out questions, in torch.

For training; what is published about the product is measured through its own engine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from edgevlm_demo import checkpoint_folder
from edgevlm_demo.evaluation import SETS, EvaluationQuestion, comparison, evaluation_questions, family_scores
from edgevlm_demo.outcomes import Answered, outcome_table, plant_questions, tallies
from torch import Tensor

from edgevlm_training.dialogue import EOS, DialogueTokenizer
from edgevlm_training.model import DemoModel
from edgevlm_training.pixels import pixels
from edgevlm_training.published import load_published

MAX_NEW = 24  # tokens
QUESTIONS = 80  # at a time


class Said(NamedTuple):
    """An answer and the product of its tokens' probabilities, `</s>` included."""

    text: str
    confidence: float


def answers(model: DemoModel, tokenizer: DialogueTokenizer, questions: Sequence[EvaluationQuestion]) -> list[Said]:
    """One greedy answer per question; consecutive questions about one picture share its features."""
    images = [next(group).image for _, group in groupby(questions, key=lambda q: (q.scene, q.seed))]
    rows = [row for row, (_, group) in enumerate(groupby(questions, key=lambda q: (q.scene, q.seed))) for _ in group]
    with torch.inference_mode():
        patches = model.tower(torch.from_numpy(pixels(images)))
        prompts = [tokenizer.prompt(question.text) for question in questions]
        found = _greedy(model, tokenizer.before_image, patches[rows], prompts)
    return [Said(tokenizer.text(ids), confidence) for ids, confidence in found]


def _greedy(
    model: DemoModel, before: list[int], patches: Tensor, prompts: list[list[int]]
) -> list[tuple[list[int], float]]:
    said: list[list[int]] = [[] for _ in prompts]
    confidence = [1.0] * len(prompts)
    running = list(range(len(prompts)))
    for _ in range(MAX_NEW):
        texts = [prompts[row] + said[row] for row in running]
        # padding stands to the right of what is read, so it is never attended to
        text = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
        for row, ids in enumerate(texts):
            text[row, : len(ids)] = torch.tensor(ids)
        logits = model.logits(patches[running], torch.tensor(before), text)
        lengths = torch.tensor([len(ids) for ids in texts])
        chances, chosen = logits[torch.arange(len(texts)), lengths - 1].softmax(dim=-1).max(dim=-1)
        for row, token, chance in zip(running, chosen.tolist(), chances.tolist(), strict=True):
            said[row].append(token)
            confidence[row] *= chance
        running = [row for row in running if said[row][-1] != EOS]
        if not running:
            break
    return list(zip(said, confidence, strict=True))


def results(
    model: DemoModel, tokenizer: DialogueTokenizer, questions: Sequence[EvaluationQuestion]
) -> list[Answered]:
    found = []
    for first in range(0, len(questions), QUESTIONS):
        part = questions[first : first + QUESTIONS]
        said = answers(model, tokenizer, part)
        found += [
            Answered(q.family, s.text, q.answer, q.tolerance, s.confidence) for q, s in zip(part, said, strict=True)
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m edgevlm_training.score", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=checkpoint_folder())
    parser.add_argument("--count", type=int, default=300, help="pictures of each scene")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_published(arguments.checkpoint)
    tokenizer = DialogueTokenizer(arguments.checkpoint / "tokenizer.model")
    columns = {}
    for name, chosen in SETS.items():
        found = results(model, tokenizer, list(evaluation_questions(arguments.count, **chosen._asdict())))
        columns[name] = family_scores([(a.family, a.said, a.answer) for a in found])
    print(comparison(columns))
    for held_out in (False, True):
        questions = list(plant_questions(arguments.count, held_out_fonts=held_out))
        print(f"As photographed, {'held-out' if held_out else 'trained'} fonts\n")
        print(outcome_table(tallies(results(model, tokenizer, questions))))


if __name__ == "__main__":
    main()
