"""`python -m edgevlm_demo.train --out DIR --minutes 60 --seed 1`: trains the demo model on one CPU thread.

Two stages: the tower alone on labels of patches, then everything on the answers as well. The learning rate
follows the share of the time budget that is used. The run can be stopped at any moment and goes on from
`DIR/state.pt` when started again.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgevlm_demo.batches import LAST_RUN, training_batch, validation_batch
from edgevlm_demo.dialogue import DialogueTokenizer
from edgevlm_demo.losses import PatchHeads, answer_loss, answer_scores, patch_loss, patch_scores
from edgevlm_demo.model import DemoModel, Shape
from edgevlm_demo.scenes import DATA_VERSION
from edgevlm_demo.schedule import PEAK, TOWER_SHARE, rates
from edgevlm_demo.vocabulary import train_vocabulary

BATCH = 16  # pictures
PRACTICE = 0.6  # share of practice sheets while the tower learns alone
PRACTICE_LATER = 0.15
SAVE_EVERY = 90.0  # seconds
VALIDATE_EVERY = 180.0  # seconds
VALIDATION_PICTURES = 144


@dataclass
class Progress:
    """What changes and is saved beside the weights."""

    seconds: float = 0.0
    pictures: int = 0


class Run:
    """One training run in one folder."""

    def __init__(self, out: Path, minutes: float, seed: int) -> None:
        self.out, self.budget, self.seed = out, minutes * 60, seed
        out.mkdir(parents=True, exist_ok=True)
        vocabulary = out / "tokenizer.model"
        if not vocabulary.exists():
            train_vocabulary(vocabulary)
        self.tokenizer = DialogueTokenizer(vocabulary)
        self.before = torch.tensor(self.tokenizer.before_image)
        torch.manual_seed(seed)
        self.model = DemoModel(Shape(self.tokenizer.vocab_size))
        self.heads = PatchHeads(self.model.shape.width)
        self.optimiser = make_optimiser(self.model, self.heads)
        self.progress = Progress()
        if (out / "state.pt").exists():
            self.load()

    @property
    def share(self) -> float:
        return min(1.0, self.progress.seconds / self.budget)

    def train(self) -> None:
        saved = validated = self.progress.seconds
        while self.share < 1:
            started = time.monotonic()
            losses = self.step()
            self.progress.seconds += time.monotonic() - started
            if self.progress.seconds - saved > SAVE_EVERY:
                saved = self.progress.seconds
                self.save()
            if self.progress.seconds - validated > min(VALIDATE_EVERY, self.budget / 10) or self.share >= 1:
                started = time.monotonic()
                self.report(losses)
                self.progress.seconds += time.monotonic() - started
                validated = self.progress.seconds
        self.save()

    def step(self) -> dict[str, float]:
        joint = self.share >= TOWER_SHARE
        set_rates(self.optimiser, self.share)
        batch = training_batch(
            self.tokenizer,
            self.seed,
            self.progress.pictures,
            BATCH,
            PRACTICE_LATER if joint else PRACTICE,
        )
        patches = self.model.tower(batch.pixels)
        loss = patch_loss(self.heads, patches, batch)
        losses = {"patch loss": float(loss.detach())}
        if joint and len(batch.spoken):
            logits = self.model.logits(patches[batch.spoken], self.before, batch.text)
            answers = answer_loss(logits, batch)
            losses["answer loss"] = float(answers.detach())
            loss = loss + answers
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*self.model.parameters(), *self.heads.parameters()], 1.0)
        self.optimiser.step()
        self.progress.pictures += BATCH
        return losses

    def report(self, losses: dict[str, float]) -> None:
        """One JSON line: the last losses, and accuracy on pictures that are not trained on."""
        scores: dict[str, tuple[int, int]] = {}
        for first in range(0, VALIDATION_PICTURES, 24):
            batch = validation_batch(self.tokenizer, first, 24)
            with torch.inference_mode():
                patches = self.model.tower(batch.pixels)
                found = patch_scores(self.heads, patches, batch)
                found |= answer_scores(self.model.logits(patches, self.before, batch.text), batch)
            for name, (good, count) in found.items():
                before = scores.get(name, (0, 0))
                scores[name] = (before[0] + good, before[1] + count)
        line = {
            "seconds": round(self.progress.seconds),
            "pictures": self.progress.pictures,
            "rate": [float(f"{group['lr']:.3g}") for group in self.optimiser.param_groups],
            **{name: round(value, 4) for name, value in losses.items()},
            **{name: round(good / max(1, count), 3) for name, (good, count) in sorted(scores.items())},
        }
        print(json.dumps(line), flush=True)
        with (self.out / "train.log").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
            "data_version": DATA_VERSION,
            "seed": self.seed,
        }
        part = self.out / "state.part"
        torch.save(state, part)
        os.replace(part, self.out / "state.pt")

    def load(self) -> None:
        state: dict[str, Any] = torch.load(self.out / "state.pt", weights_only=True)
        if (state["data_version"], state["seed"]) != (DATA_VERSION, self.seed):
            raise SystemExit(f"{self.out} holds a run of another seed or data version")
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def make_optimiser(model: DemoModel, heads: PatchHeads) -> torch.optim.AdamW:
    """First group: what the tower stage trains; second: what the joint stage adds."""
    tower = [*model.tower.parameters(), *heads.parameters()]
    language = [
        *model.projector.parameters(),
        *model.decoder.parameters(),
        *model.lm_head.parameters(),
    ]
    return torch.optim.AdamW([{"params": tower}, {"params": language}], lr=PEAK, betas=(0.9, 0.98), weight_decay=0.02)


def set_rates(optimiser: torch.optim.AdamW, share: float) -> None:
    tower, language = rates(share)
    optimiser.param_groups[0]["lr"] = tower
    optimiser.param_groups[1]["lr"] = language


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m edgevlm_demo.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for state.pt and train.log")
    parser.add_argument("--minutes", type=float, default=60, help="time budget, validation included")
    parser.add_argument("--seed", type=int, default=1, help=f"1 to {LAST_RUN}")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if not 1 <= arguments.seed <= LAST_RUN:
        parser.error(f"--seed must be 1 to {LAST_RUN}")
    torch.set_num_threads(arguments.threads)
    Run(arguments.out, arguments.minutes, arguments.seed).train()


if __name__ == "__main__":
    main()
