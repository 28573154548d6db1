"""`python -m edgevlm_training.score`: greedy answers of the exported checkpoint to held-out questions, in torch.

For training; what is published about the product is measured through its own engine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import torch
from edgevlm_demo import checkpoint_folder
from edgevlm_demo.evaluation import SETS, EvaluationQuestion, comparison, evaluation_questions, family_scores, table
from torch import Tensor

from edgevlm_training.dialogue import EOS, DialogueTokenizer
from edgevlm_training.model import DemoModel
from edgevlm_training.pixels import pixels
from edgevlm_training.published import load_published

MAX_NEW = 24  # tokens
QUESTIONS = 80  # at a time


def answers(model: DemoModel, tokenizer: DialogueTokenizer, questions: Sequence[EvaluationQuestion]) -> list[str]:
    """One greedy answer per question; consecutive questions about one picture share its features."""
    images = [next(group).image for _, group in groupby(questions, key=lambda q: (q.scene, q.seed))]
    rows = [row for row, (_, group) in enumerate(groupby(questions, key=lambda q: (q.scene, q.seed))) for _ in group]
    with torch.inference_mode():
        patches = model.tower(torch.from_numpy(pixels(images)))
        prompts = [tokenizer.prompt(question.text) for question in questions]
        return [tokenizer.text(ids) for ids in _greedy(model, tokenizer.before_image, patches[rows], prompts)]


def _greedy(model: DemoModel, before: list[int], patches: Tensor, prompts: list[list[int]]) -> list[list[int]]:
    said: list[list[int]] = [[] for _ in prompts]
    running = list(range(len(prompts)))
    for _ in range(MAX_NEW):
        texts = [prompts[row] + said[row] for row in running]
        # padding stands to the right of what is read, so it is never attended to
        text = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
        for row, ids in enumerate(texts):
            text[row, : len(ids)] = torch.tensor(ids)
        logits = model.logits(patches[running], torch.tensor(before), text)
        lengths = torch.tensor([len(ids) for ids in texts])
        chosen = logits[torch.arange(len(texts)), lengths - 1].argmax(dim=-1).tolist()
        for row, token in zip(running, chosen, strict=True):
            said[row].append(token)
        running = [row for row in running if said[row][-1] != EOS]
        if not running:
            break
    return said


def results(
    model: DemoModel, tokenizer: DialogueTokenizer, questions: Sequence[EvaluationQuestion]
) -> list[tuple[str, str, str]]:
    """(family, what was said, true answer) for every question."""
    found = []
    for first in range(0, len(questions), QUESTIONS):
        part = questions[first : first + QUESTIONS]
        said = answers(model, tokenizer, part)
        found += [(q.family, text, q.answer) for q, text in zip(part, said, strict=True)]
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
        questions = list(evaluation_questions(arguments.count, **chosen._asdict()))
        columns[name] = family_scores(results(model, tokenizer, questions))
    print(table(next(iter(columns.values()))))
    print(comparison(columns))


if __name__ == "__main__":
    main()
