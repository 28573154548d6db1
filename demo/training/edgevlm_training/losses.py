"""What is learnt: labels of patches, and answers. Knows nothing of time, files or optimisers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from edgevlm_demo.scenes.scene import (
    DEFECTS,
    FASTENERS,
    GLYPHS,
    KINDS,
    LABEL_KINDS,
    LAMP_STATES,
    MAX_ORDER,
    PANELS,
    SCALE,
    TIPS,
)
from torch import Tensor, nn

from edgevlm_training.batches import IGNORED, Batch

FOLLOWS = 4


class PatchHeads(nn.Module):
    """Three linear read-outs of the tower for training; none of them is exported."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.sizes = (len(KINDS), MAX_ORDER + 1, FOLLOWS)
        self.linear = nn.Linear(width, sum(self.sizes))
        self.kind_weight = kind_weights()

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        """`[B, 144, W]` to logits of kind, order and follow."""
        return torch.split(self.linear(self.norm(patches)), self.sizes, dim=-1)


def kind_weights() -> Tensor:
    """Glyphs and tips count most: they are few, of many kinds, and learnt last."""
    weights = dict.fromkeys(KINDS, 0.3)
    weights |= dict.fromkeys(GLYPHS, 2.0) | dict.fromkeys(TIPS, 6.0) | dict.fromkeys(SCALE, 0.5)
    weights |= dict.fromkeys(LABEL_KINDS, 0.6) | dict.fromkeys(LAMP_STATES, 0.6)
    weights |= dict.fromkeys(FASTENERS, 1.5) | dict.fromkeys(DEFECTS, 1.0)
    weights["background"] = 0.1
    return torch.tensor([weights[kind] for kind in KINDS])


def patch_loss(heads: PatchHeads, patches: Tensor, batch: Batch) -> Tensor:
    """Mean over patches by weight; order counts where something has one, follow there and around."""
    kind, order, follow = heads(patches)
    weight = heads.kind_weight[batch.kind]
    total = weight.sum()
    placed = torch.where(batch.order > 0, 1.0, 0.0)
    # a point lies in a patch that belongs to the panel
    pointed = torch.where(batch.follow > 0, 1.5, 0.3) * (weight > 0.1)
    loss = _weighted(kind, batch.kind, weight) / total
    loss = loss + 0.5 * _weighted(order, batch.order, placed) / placed.sum().clamp(min=1)
    return loss + 0.5 * _weighted(follow, batch.follow, pointed) / pointed.sum().clamp(min=1)


def _weighted(logits: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """The sum of weighted cross-entropies; `[B, 144, C]`, `[B, 144]`, `[B, 144]`."""
    each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
    return (each * weight.flatten()).sum()


def answer_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Weighted mean over the answers' tokens, `</s>` included."""
    wanted = batch.target != IGNORED
    each = F.cross_entropy(logits[wanted], batch.target[wanted], reduction="none")
    weight = batch.weight[wanted]
    return (each * weight).sum() / weight.sum()


SCORED = {
    "glyph": GLYPHS,
    "lamp": LAMP_STATES,
    "heading": LABEL_KINDS,
    "scale": SCALE,
    "tip": TIPS,
    "fastener": FASTENERS,
    "defect": DEFECTS,
    "panel": PANELS,
}


def patch_scores(heads: PatchHeads, patches: Tensor, batch: Batch) -> dict[str, tuple[int, int]]:
    """Right and counted patches: by group of kinds, places in strings and circles, what follows."""
    kind, order, follow = (logits.argmax(dim=-1) for logits in heads(patches))
    scores = {}
    for name, kinds in SCORED.items():
        mask = torch.tensor([k in kinds for k in KINDS])[batch.kind]
        scores[f"patch {name}"] = _counted(kind == batch.kind, mask)
        if name in ("glyph", "tip", "fastener"):
            scores[f"patch {name} order"] = _counted(order == batch.order, mask & (batch.order > 0))
    scores["patch follow"] = _counted(follow == batch.follow, batch.follow > 0)
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
