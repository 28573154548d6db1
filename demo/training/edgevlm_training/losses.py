"""What is learnt: what patches hold, and answers. Knows nothing of time, files or optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from edgevlm_demo.scenes import Question
from edgevlm_demo.scenes.wording import UNANSWERABLE
from torch import Tensor, nn

from edgevlm_training.batches import IGNORED, Batch
from edgevlm_training.targets import CHARACTERS, MAX_ORDER, SLOTS, STEPS, STRIPS, THING_INDEX, THINGS

SEEN_WEIGHTS = {
    "background": 0.1,
    "tip": 4.0,
    "bolt": 1.5,
    "hole": 1.5,
    "scratch": 1.5,
    "dent": 1.5,
    "stain": 1.5,
    "crack": 1.5,
}
DOUBTED = {
    "display reading": 0.1,
    "label text": 0.1,
    "gauge reading": 0.03,
    "bolts missing": 0.1,
    "bolts in place": 0.1,
    "defect": 0.1,
    "lit lamp": 0.1,
}
"""Where the model gives the true answer less than this probability, it had better say that it cannot see it."""


class PatchLogits(NamedTuple):
    """What the heads say of every patch."""

    thing: Tensor
    slots: list[Tensor]
    order: Tensor
    value: Tensor
    strips: list[Tensor]


class PatchHeads(nn.Module):
    """Linear read-outs of the tower for training; none of them is exported."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.sizes = (
            *(len(THINGS), *[len(CHARACTERS) + 1] * SLOTS, MAX_ORDER + 1, STEPS + 2),
            *[len(CHARACTERS) + 1] * STRIPS,
        )
        self.linear = nn.Linear(width, sum(self.sizes))
        weight = [SEEN_WEIGHTS.get(thing, 0.4) for thing in THINGS]
        self.register_buffer("thing_weight", torch.tensor(weight), persistent=False)

    def forward(self, patches: Tensor) -> PatchLogits:
        """`[B, 144, W]` to logits."""
        thing, *others = torch.split(self.linear(self.norm(patches)), self.sizes, dim=-1)
        order, value, *strips = others[SLOTS:]
        return PatchLogits(thing, others[:SLOTS], order, value, strips)


def patch_loss(heads: PatchHeads, patches: Tensor, batch: Batch) -> Tensor:
    """Mean over patches by weight; slots count where there is print, order and value where there is one."""
    thing, slots, order, value, strips = heads(patches)
    weight = heads.thing_weight[batch.thing]
    loss = _mean(thing, batch.thing, weight)
    print_there = torch.where(batch.slots[..., 0] > 0, 1.0, 0.0)
    for slot, logits in enumerate(slots):
        # an empty second place is worth knowing only beside a character
        loss = loss + (1.5 if slot == 0 else 0.75) * _mean(logits, batch.slots[..., slot], print_there)
    for strip, logits in enumerate(strips):
        lies = torch.where(batch.strips[..., strip] > 0, 1.0, 0.1 * print_there)
        loss = loss + 0.75 * _mean(logits, batch.strips[..., strip], lies)
    loss = loss + 0.5 * _mean(order, batch.order, torch.where(batch.order > 0, 1.0, 0.0))
    return loss + 0.7 * _mean(value, batch.value, torch.where(batch.value > 0, 1.0, 0.0))


def _mean(logits: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean of cross-entropies; `[B, 144, C]`, `[B, 144]`, `[B, 144]`; 0 where nothing has weight."""
    each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
    return (each * weight.flatten()).sum() / weight.sum().clamp(min=1)


def answer_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Weighted mean over the answers' tokens, `</s>` included."""
    wanted = batch.target != IGNORED
    each = F.cross_entropy(logits[wanted], batch.target[wanted], reduction="none")
    weight = batch.weight[wanted]
    return (each * weight).sum() / weight.sum()


def doubted(
    logits: Tensor, batch: Batch, least: Mapping[str, float] = DOUBTED, plain: Mapping[str, float] | None = None
) -> list[list[Question]]:
    """The questions, with the refusal for true answers less probable than the `least` of their family.

    `plain`: what is required of answers about plain scenes, if it is something else.
    """
    each = F.cross_entropy(logits.transpose(1, 2), batch.target, ignore_index=IGNORED, reduction="none").cpu()
    asked = []
    for row, (questions, dialogue) in enumerate(zip(batch.asked, batch.dialogues, strict=True)):
        required = plain if plain is not None and batch.plain[row] else least
        chances = [float(torch.exp(-each[row, start - 1 : end - 1].sum())) for start, end in dialogue.spans]
        asked.append(
            [
                Question("unreadable", q.text, UNANSWERABLE) if chance < required.get(q.family, 0.0) else q
                for q, chance in zip(questions, chances, strict=True)
            ]
        )
    return asked


def patch_scores(heads: PatchHeads, patches: Tensor, batch: Batch) -> dict[str, tuple[int, int]]:
    """Right and counted patches: by place for characters, for order, and within one step for values."""
    thing, slots, order, value, strips = heads(patches)
    scores = {}
    hits = [_counted(s.argmax(-1) == batch.strips[..., n], batch.strips[..., n] > 0) for n, s in enumerate(strips)]
    scores["patch strips"] = (sum(right for right, _ in hits), sum(count for _, count in hits))
    for slot, logits in enumerate(slots):
        there = batch.slots[..., slot] > 0
        scores[f"patch character {slot + 1}"] = _counted(logits.argmax(-1) == batch.slots[..., slot], there)
    seen = batch.thing != THING_INDEX["background"]
    scores["patch thing"] = _counted(thing.argmax(-1) == batch.thing, seen)
    scores["patch order"] = _counted(order.argmax(-1) == batch.order, batch.order > 0)
    near = (value.argmax(-1) - batch.value).abs() <= 1
    scores["patch value"] = _counted(near, batch.value > 0)
    return scores


def _counted(right: Tensor, mask: Tensor) -> tuple[int, int]:
    return int((right & mask).sum()), int(mask.sum())


def answer_scores(logits: Tensor, batch: Batch) -> dict[str, tuple[int, int]]:
    """Per family, answers whose every token is the most likely one: what greedy decoding would give."""
    best = logits.argmax(dim=-1)
    right = (best == batch.target) | (batch.target == IGNORED)
    scores: dict[str, tuple[int, int]] = {}
    for row, (questions, dialogue) in enumerate(zip(batch.asked, batch.dialogues, strict=True)):
        for question, (start, end) in zip(questions, dialogue.spans, strict=True):
            good, count = scores.get(question.family, (0, 0))
            scores[question.family] = (good + bool(right[row, start - 1 : end - 1].all()), count + 1)
    return scores
