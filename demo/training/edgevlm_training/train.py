"""`python -m edgevlm_training.train --out DIR --pictures 420000 --seed 3`: trains the demo model.

Three stages: the tower alone on labels of patches, then everything on the answers as well, then the same with
digits in more shapes and questions in many more words. The learning rate follows the share of the pictures that are
seen, so the options and the seed fix the run. It can be stopped at any moment and goes on from `DIR/state.pt` when
started again with the same options.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as multiprocessing
from edgevlm_demo.scenes import DATA_VERSION
from torch import nn

from edgevlm_training.batches import LAST_RUN, PICTURES_PER_RUN, training_batch, validation_batch
from edgevlm_training.dialogue import DialogueTokenizer
from edgevlm_training.losses import PatchHeads, answer_loss, answer_scores, patch_loss, patch_scores
from edgevlm_training.model import DemoModel, Shape
from edgevlm_training.schedule import PEAK, last_rates, rates
from edgevlm_training.team import Scores, Team, add, free_port
from edgevlm_training.vocabulary import train_vocabulary

BATCH = 16  # pictures, over all processes
PRACTICE = 0.4  # share of practice sheets while the tower learns alone
PRACTICE_LATER = 0.1
SAVE_EVERY = 90.0  # seconds
VALIDATE_EVERY = 180.0  # seconds
VALIDATION_PICTURES = 288
VALIDATED_AT_ONCE = 24


@dataclass(frozen=True)
class Options:
    """Command line. `pictures`: of two stages, `tower_share` of them for the first; `last`: of the third."""

    out: Path
    pictures: int
    seed: int
    tower_share: float
    last: int


@dataclass
class Progress:
    """What changes and is saved beside the weights."""

    seconds: float = 0.0
    pictures: int = 0


class Run:
    """One training run in one folder, which holds the vocabulary already."""

    def __init__(self, options: Options, team: Team) -> None:
        self.options, self.team = options, team
        self.tokenizer = DialogueTokenizer(options.out / "tokenizer.model")
        self.before = torch.tensor(self.tokenizer.before_image)
        torch.manual_seed(options.seed)
        self.model = DemoModel(Shape(self.tokenizer.vocab_size))
        self.heads = PatchHeads(self.model.shape.width)
        self.seeing = [*self.model.tower.parameters(), *self.heads.parameters()]
        self.speaking = [
            *self.model.projector.parameters(),
            *self.model.decoder.parameters(),
            *self.model.lm_head.parameters(),
        ]
        self.parameters = [*self.model.parameters(), *self.heads.parameters()]
        self.optimiser = make_optimiser(self.seeing, self.speaking)
        self.progress = Progress()
        if (options.out / "state.pt").exists():
            self.load()

    @property
    def share(self) -> float:
        return min(1.0, self.progress.pictures / self.options.pictures)

    @property
    def last_share(self) -> float:
        """Of the last stage; negative before it."""
        return (self.progress.pictures - self.options.pictures) / self.options.last

    @property
    def over(self) -> bool:
        return self.last_share >= 1

    def train(self) -> None:
        saved = validated = self.progress.seconds
        self.clock = time.monotonic() - self.progress.seconds
        while not self.over:
            losses = self.step()
            if self.progress.seconds - saved > SAVE_EVERY:
                saved = self.progress.seconds
                self.save()
            if self.progress.seconds - validated > VALIDATE_EVERY or self.over:
                validated = self.progress.seconds
                self.report(losses)
        self.save()

    def step(self) -> dict[str, float]:
        last = self.last_share >= 0
        joint = self.share >= self.options.tower_share
        set_rates(
            self.optimiser,
            last_rates(self.last_share) if last else rates(self.share, self.options.tower_share),
        )
        size = BATCH // self.team.size
        batch = training_batch(
            self.tokenizer,
            self.options.seed,
            self.progress.pictures + size * self.team.rank,
            size,
            PRACTICE_LATER if joint else PRACTICE,
            varied=last,
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
        learning = self.parameters if joint else self.seeing
        self.progress.seconds = self.team.agree(learning, time.monotonic() - self.clock)
        nn.utils.clip_grad_norm_(learning, 1.0)
        self.optimiser.step()
        self.progress.pictures += BATCH
        return losses

    def report(self, losses: dict[str, float]) -> None:
        """One JSON line: the last losses, and accuracy on pictures that are not trained on."""
        own: Scores = {}
        joint = self.share >= self.options.tower_share
        stride = VALIDATED_AT_ONCE * self.team.size
        for first in range(VALIDATED_AT_ONCE * self.team.rank, VALIDATION_PICTURES, stride):
            batch = validation_batch(self.tokenizer, first, VALIDATED_AT_ONCE)
            with torch.inference_mode():
                patches = self.model.tower(batch.pixels)
                add(own, patch_scores(self.heads, patches, batch))
                if joint:
                    add(own, answer_scores(self.model.logits(patches, self.before, batch.text), batch))
        scores = self.team.total(own)
        line = {
            "seconds": round(self.progress.seconds),
            "pictures": self.progress.pictures,
            "rate": [float(f"{group['lr']:.3g}") for group in self.optimiser.param_groups],
            **{name: round(value, 4) for name, value in losses.items()},
            **{name: round(good / max(1, count), 3) for name, (good, count) in sorted(scores.items())},
        }
        self.log(line)

    def log(self, line: dict[str, Any]) -> None:
        if self.team.leads:
            print(json.dumps(line), flush=True)
            with (self.options.out / "train.log").open("a") as file:
                file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        if not self.team.leads:
            return
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
            "recipe": self.recipe(),
        }
        part = self.options.out / "state.part"
        torch.save(state, part)
        os.replace(part, self.options.out / "state.pt")

    def recipe(self) -> dict[str, float]:
        """What a run must share with the state that it goes on from."""
        options = self.options
        return {
            "data version": DATA_VERSION,
            "seed": options.seed,
            "pictures": options.pictures,
            "tower share": options.tower_share,
            "last": options.last,
        }

    def load(self) -> None:
        state: dict[str, Any] = torch.load(self.options.out / "state.pt", weights_only=True)
        if state["recipe"] != self.recipe():
            raise SystemExit(f"{self.options.out} holds another run: {state['recipe']}, not {self.recipe()}")
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def make_optimiser(seeing: list[nn.Parameter], speaking: list[nn.Parameter]) -> torch.optim.AdamW:
    """First group: what the tower stage trains; second: what the joint stage adds."""
    return torch.optim.AdamW(
        [{"params": seeing}, {"params": speaking}], lr=PEAK, betas=(0.9, 0.98), weight_decay=0.02, fused=True
    )


def set_rates(optimiser: torch.optim.AdamW, chosen: tuple[float, float]) -> None:
    for group, rate in zip(optimiser.param_groups, chosen, strict=True):
        group["lr"] = rate


def work(options: Options, rank: int, size: int, port: int) -> None:
    """One process of the team, from start to end."""
    torch.set_num_threads(1)
    Run(options, Team(rank, size, port)).train()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m edgevlm_training.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for state.pt, tokenizer.model and train.log")
    parser.add_argument("--pictures", type=int, default=420_000, help="of the first two stages")
    parser.add_argument("--seed", type=int, default=1, help=f"1 to {LAST_RUN}")
    parser.add_argument("--tower-share", type=float, default=0.45, help="of the pictures, for the tower alone")
    parser.add_argument("--last", type=int, default=120_000, help="pictures of the last stage")
    parser.add_argument("--workers", type=int, default=1, help="processes, one a core")
    arguments = parser.parse_args()
    if not 1 <= arguments.seed <= LAST_RUN:
        parser.error(f"--seed must be 1 to {LAST_RUN}")
    if min(arguments.pictures, arguments.last) < 1 or arguments.pictures + arguments.last > PICTURES_PER_RUN:
        parser.error(f"--pictures and --last must be at least 1, and {PICTURES_PER_RUN} together at most")
    if not 0 < arguments.tower_share < 1:
        parser.error("--tower-share must lie between 0 and 1")
    if BATCH % arguments.workers:
        parser.error(f"--workers must divide {BATCH}")
    options = Options(arguments.out, arguments.pictures, arguments.seed, arguments.tower_share, arguments.last)
    options.out.mkdir(parents=True, exist_ok=True)
    vocabulary = options.out / "tokenizer.model"
    if not vocabulary.exists():
        train_vocabulary(vocabulary)
    port = free_port()
    context = multiprocessing.get_context("spawn")
    for rank in range(1, arguments.workers):
        context.Process(target=work, args=(options, rank, arguments.workers, port), daemon=True).start()
    work(options, 0, arguments.workers, port)


if __name__ == "__main__":
    main()
