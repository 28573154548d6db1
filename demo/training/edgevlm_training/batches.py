"""Training batches: pictures drawn on demand, what their patches hold, and up to three questions each.

Seeds below 700,000,000 only; the picture's number, the run's seed and the supplies fix everything in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import torch
from edgevlm_demo.plant import PLANT, Supplies, draw_plant, draw_sheet
from edgevlm_demo.scenes import SCENES, Question, Scene, draw_practice, draw_scene
from torch import Tensor

from edgevlm_training.dialogue import Dialogue, DialogueTokenizer
from edgevlm_training.mixture import DRAWN_WEIGHTS, FOR_READING, Mixture
from edgevlm_training.pixels import squares
from edgevlm_training.seeds import PICTURES_PER_RUN, VALIDATION_SEED
from edgevlm_training.targets import patch_targets

READING = {
    "display reading",
    "label text",
    "gauge reading",
    "bolts missing",
    "bolts in place",
    "defect",
    "unreadable",
}
GENERAL = {"presence", "description"}
EMPHASIS = {
    "lamp state": 2.0,
    "red zone": 2.5,
    "bolts in place": 3.0,
    "bolt is missing": 2.0,
    "description": 0.5,
    "unanswerable": 0.6,
    "no device": 0.8,
    "presence": 0.7,
    "unreadable": 0.8,
}
"""Of an answer's loss: questions that compare what is asked with what is seen are learnt last, refusals first."""
IGNORED = -100


@dataclass(frozen=True)
class Batch:
    asked: list[list[Question]]  # S of them
    plain: list[bool]  # S of them: not seen by a camera
    dialogues: list[Dialogue]  # S of them
    squares: Tensor  # [B, 3, 168, 168] bytes
    thing: Tensor  # [B, 144]
    slots: Tensor  # [B, 144, 3]
    order: Tensor  # [B, 144]
    value: Tensor  # [B, 144]
    strips: Tensor  # [B, 144, 4]
    spoken: Tensor  # [S] rows of the batch that have questions: practice sheets have none
    text: Tensor  # [S, T] ids after the image, without the last one
    target: Tensor  # [S, T] the id that follows, where it belongs to an answer; else -100
    weight: Tensor  # [S, T] how much it counts, 0 outside of answers

    def to(self, device: torch.device) -> Batch:
        return self._changed(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Called by the loader, so that the copy to the device need not be waited for."""
        return self._changed(lambda tensor: tensor.pin_memory())

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self, **{name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        )


def training_batch(
    tokenizer: DialogueTokenizer,
    supplies: Supplies,
    run: int,
    first: int,
    size: int,
    practice: float,
    mixture: Mixture = FOR_READING,
) -> Batch:
    """Pictures `first` .. `first + size - 1` of the run; the share `practice` of them are practice sheets."""
    scenes = []
    asked = []
    plain = []
    for number in range(first, first + size):
        seed = run * PICTURES_PER_RUN + number
        random = Random(f"batch {seed}")
        scene, is_plain = _choose_scene(random, seed, supplies, practice, mixture)
        scenes.append(scene)
        asked.append(choose_questions(random, scene.questions))
        plain.append(is_plain)
    return make_batch(tokenizer, scenes, asked, plain)


def validation_batch(tokenizer: DialogueTokenizer, supplies: Supplies, first: int, size: int) -> Batch:
    """Photographed devices in turn, and in every fourth place a drawn scene; up to three questions each."""
    scenes = []
    plain = [number % 4 == 3 for number in range(first, first + size)]
    for number, is_plain in enumerate(plain, first):
        seed = VALIDATION_SEED + number
        if is_plain:
            scenes.append(draw_scene(SCENES[number // 4 % len(SCENES)], seed, words="varied", style="varied"))
        else:
            scenes.append(draw_plant(PLANT[number % len(PLANT)], seed, supplies))
    asked = [choose_questions(Random(f"validation {s.seed}"), s.questions) for s in scenes]
    return make_batch(tokenizer, scenes, asked, plain)


def choose_questions(random: Random, questions: Sequence[Question]) -> list[Question]:
    """Two or three in random order: mostly what must be read, then what is particular to the device."""

    def late(question: Question) -> float:
        if question.family in READING:
            return random.random() * 0.6
        return random.random() * (1.5 if question.family in GENERAL else 1.0)

    chosen = sorted(questions, key=late)[: random.choice((2, 2, 3))]
    random.shuffle(chosen)
    return chosen


def make_batch(
    tokenizer: DialogueTokenizer, scenes: Sequence[Scene], asked: list[list[Question]], plain: Sequence[bool]
) -> Batch:
    """Of scenes with the questions that are asked of each; `plain` are those that no camera has seen."""
    targets = [patch_targets(scene.marks, *scene.image.size) for scene in scenes]
    spoken = [row for row, questions in enumerate(asked) if questions]
    fields = {
        name: torch.from_numpy(np.stack([getattr(target, name) for target in targets]).astype(np.int64))
        for name in ("thing", "slots", "order", "value", "strips")
    }
    pictures = torch.from_numpy(squares([scene.image for scene in scenes]))
    rows = torch.tensor(spoken, dtype=torch.long)
    words = _words(tokenizer, [asked[row] for row in spoken])
    return Batch(squares=pictures, spoken=rows, plain=[plain[row] for row in spoken], **fields, **words)


def asked_anew(tokenizer: DialogueTokenizer, batch: Batch, asked: list[list[Question]]) -> Batch:
    """The same pictures with other answers."""
    return replace(batch, **_words(tokenizer, asked))


def _choose_scene(
    random: Random, seed: int, supplies: Supplies, practice: float, mixture: Mixture
) -> tuple[Scene, bool]:
    """A scene, and whether it is a plain one."""
    if random.random() < practice:
        return (draw_practice(seed, "varied"), True) if random.random() < 0.1 else (draw_sheet(seed, supplies), False)
    if random.random() < mixture.drawn:
        name = random.choices(list(DRAWN_WEIGHTS), list(DRAWN_WEIGHTS.values()))[0]
        return draw_scene(name, seed, words="varied", style="varied"), True
    name = random.choices(list(mixture.plant), list(mixture.plant.values()))[0]
    return draw_plant(name, seed, supplies), False


def _words(tokenizer: DialogueTokenizer, asked: list[list[Question]]) -> dict[str, Any]:
    dialogues = [tokenizer.dialogue(questions) for questions in asked]
    text, target = _texts(dialogues)
    weight = _answer_weights(dialogues, asked, target.shape)
    return {"asked": asked, "dialogues": dialogues, "text": text, "target": target, "weight": weight}


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
