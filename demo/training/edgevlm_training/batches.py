"""Training batches: pictures drawn on demand, their patch labels, and up to three questions each.

Seeds below 700,000,000 only; the picture's number and the run's seed fix everything in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from edgevlm_demo.scenes import SCENES, PatchLabels, Question, Scene, Style, draw_practice, draw_scene, patch_labels
from edgevlm_demo.scenes.wording import Words
from torch import Tensor

from edgevlm_training.dialogue import Dialogue, DialogueTokenizer
from edgevlm_training.pixels import pixels

PICTURES_PER_RUN = 10_000_000
LAST_RUN = 69  # (69 + 1) x 10,000,000 is where the vocabulary's seeds begin
VALIDATION_SEED = 800_000_000
WEIGHTS = {
    "display": 0.16,
    "dial gauge": 0.19,
    "signal tower": 0.08,
    "label": 0.18,
    "flange": 0.16,
    "metal plate": 0.08,
    "panel": 0.12,
    "empty": 0.03,
}
READING = {"display reading", "label text", "gauge reading", "bolts missing", "bolts in place", "defect"}
GENERAL = {"presence", "description", "unanswerable"}
EMPHASIS = {"lamp state": 3.0, "red zone": 4.0, "bolts in place": 4.0, "bolt is missing": 2.0, "description": 0.5}
"""Of an answer's loss: questions that compare what is asked with what is seen are learnt last."""
IGNORED = -100


@dataclass(frozen=True)
class Batch:
    scenes: Sequence[Scene]
    asked: list[list[Question]]
    pixels: Tensor  # [B, 3, 168, 168]
    kind: Tensor  # [B, 144]
    order: Tensor  # [B, 144]
    follow: Tensor  # [B, 144]
    spoken: Tensor  # [S] rows of the batch that have questions: practice sheets have none
    text: Tensor  # [S, T] ids after the image, without the last one
    target: Tensor  # [S, T] the id that follows, where it belongs to an answer; else -100
    weight: Tensor  # [S, T] how much it counts, 0 outside of answers
    dialogues: list[Dialogue]  # S of them, as `asked`


def training_batch(
    tokenizer: DialogueTokenizer, run: int, first: int, size: int, practice: float, *, varied: bool = False
) -> Batch:
    """Pictures `first` .. `first + size - 1` of the run; the share `practice` of them are practice sheets.

    Varied ones have more shapes of digits, are asked about in more words, and more often in general.
    """
    words: Words = "varied" if varied else "templates"
    style: Style = "varied" if varied else "plain"
    scenes = []
    asked = []
    for number in range(first, first + size):
        seed = run * PICTURES_PER_RUN + number
        random = Random(f"batch {seed}")
        if random.random() < practice:
            scenes.append(draw_practice(seed, style))
        else:
            name = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            scenes.append(draw_scene(name, seed, words=words, style=style))
        asked.append(choose_questions(random, scenes[-1].questions, 1.2 if varied else 2.0))
    return make_batch(tokenizer, scenes, asked)


def validation_batch(tokenizer: DialogueTokenizer, first: int, size: int) -> Batch:
    """Scenes in turn, every one with up to three questions."""
    scenes = [draw_scene(SCENES[n % len(SCENES)], VALIDATION_SEED + n) for n in range(first, first + size)]
    asked = [choose_questions(Random(f"validation {s.seed}"), s.questions) for s in scenes]
    return make_batch(tokenizer, scenes, asked)


def choose_questions(random: Random, questions: Sequence[Question], general_last: float = 2.0) -> list[Question]:
    """Three in random order: mostly what must be read, then what is particular to the device.

    `general_last`: 0.6 takes general questions as often as readings, more takes them more seldom.
    """

    def late(question: Question) -> float:
        if question.family in READING:
            return random.random() * 0.6
        return random.random() * (general_last if question.family in GENERAL else 1.0)

    chosen = sorted(questions, key=late)[:3]
    random.shuffle(chosen)
    return chosen


def make_batch(tokenizer: DialogueTokenizer, scenes: Sequence[Scene], asked: list[list[Question]]) -> Batch:
    labels = [patch_labels(scene.marks, *scene.image.size) for scene in scenes]
    spoken = [row for row, questions in enumerate(asked) if questions]
    asked = [asked[row] for row in spoken]
    dialogues = [tokenizer.dialogue(questions) for questions in asked]
    text, target = _texts(dialogues)
    weight = _answer_weights(dialogues, asked, target.shape)
    return Batch(
        scenes,
        asked,
        torch.from_numpy(pixels([scene.image for scene in scenes])),
        _stack(labels, "kind"),
        _stack(labels, "order"),
        _stack(labels, "follow"),
        torch.tensor(spoken, dtype=torch.long),
        text,
        target,
        weight,
        dialogues,
    )


def _answer_weights(dialogues: list[Dialogue], asked: list[list[Question]], shape: torch.Size) -> Tensor:
    """A description has seven times the tokens of a yes, but does not matter seven times as much."""
    weight = torch.zeros(shape)
    for row, (dialogue, questions) in enumerate(zip(dialogues, asked, strict=True)):
        for (start, end), question in zip(dialogue.spans, questions, strict=True):
            weight[row, start - 1 : end - 1] = EMPHASIS.get(question.family, 1.0) / (end - start) ** 0.5
    return weight


def _texts(dialogues: list[Dialogue]) -> tuple[Tensor, Tensor]:
    length = max((len(d.ids) for d in dialogues), default=1) - 1
    text = torch.zeros(len(dialogues), length, dtype=torch.long)
    target = torch.full((len(dialogues), length), IGNORED)
    for row, dialogue in enumerate(dialogues):
        ids = torch.tensor(dialogue.ids, dtype=torch.long)
        wanted = torch.tensor(dialogue.is_answer, dtype=torch.bool)
        text[row, : len(ids) - 1] = ids[:-1]
        target[row, : len(ids) - 1] = torch.where(wanted, ids, IGNORED)[1:]
    return text, target


def _stack(labels: list[PatchLabels], name: str) -> Tensor:
    flat = np.stack([getattr(label, name).reshape(-1) for label in labels])
    return torch.from_numpy(flat.astype(np.int64))
