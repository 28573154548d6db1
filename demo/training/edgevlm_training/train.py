"""`python -m edgevlm_training.train --out DIR --from CHECKPOINT --pictures 170000`: trains the demo model.

Everything learns together, from pictures with questions and from practice sheets: what patches hold, and answers.
Towards the end the refusal takes the place of answers that the model does not see. The learning rate follows the
share of the pictures that are seen, so the options and the seed fix the run, rounding aside. It can be stopped at any
moment and goes on from `DIR/state.pt` when started again with the same options. What is published is a moving average
of the weights, which is usable at every moment.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from edgevlm_training.batches import Batch, asked_anew, training_batch, validation_batch
from edgevlm_training.dialogue import DialogueTokenizer
from edgevlm_training.losses import PatchHeads, answer_loss, answer_scores, doubted, patch_loss, patch_scores
from edgevlm_training.mixture import reading
from edgevlm_training.model import DemoModel, Shape
from edgevlm_training.options import Options, add_reading_options, options_parser, read_options
from edgevlm_training.pixels import MEAN, STD
from edgevlm_training.published import load_published
from edgevlm_training.schedule import PEAK, practice, rate
from edgevlm_training.team import Scores, Team, add, free_port
from edgevlm_training.vocabulary import provide_vocabulary

SAVE_EVERY = 90.0  # seconds
VALIDATE_EVERY = 180.0  # seconds
VALIDATION_PICTURES = 288
VALIDATED_AT_ONCE = 24
AVERAGED = 0.002  # of each step's weights go into the average


@dataclass
class Progress:
    """What changes and is saved beside the weights."""

    seconds: float = 0.0
    pictures: int = 0


class Batches(Dataset[Batch]):
    """The run's batches from a picture on, drawn when asked for; `part` of `parts` of each."""

    def __init__(self, options: Options, first: int, part: int = 0, parts: int = 1) -> None:
        self.options, self.first, self.part, self.parts = options, first, part, parts
        self.supplies = options.supplies()
        self.tokenizer = DialogueTokenizer(options.out / "tokenizer.model")

    def __len__(self) -> int:
        left = self.options.pictures - self.first
        return max(0, -(-left // self.options.batch))

    def __getitem__(self, index: int) -> Batch:
        torch.set_num_threads(1)
        first = self.first + index * self.options.batch
        size = self.options.batch // self.parts
        share = practice(first / self.options.pictures, self.options.practice)
        mixture = reading(self.options.drawn)
        return training_batch(
            self.tokenizer, self.supplies, self.options.seed, first + size * self.part, size, share, mixture
        )


class Run:
    """One training run in one folder, which holds the vocabulary already."""

    def __init__(self, options: Options, team: Team) -> None:
        self.options, self.team = options, team
        self.device = torch.device(options.device)
        self.tokenizer = DialogueTokenizer(options.out / "tokenizer.model")
        torch.manual_seed(options.seed)
        model = load_published(options.start) if options.start else DemoModel(Shape(self.tokenizer.vocab_size))
        self.model = model.to(self.device)
        self.heads = PatchHeads(model.shape.width).to(self.device)
        self.before = torch.tensor(self.tokenizer.before_image, device=self.device)
        self.scale = torch.tensor(1 / (255 * STD), device=self.device)[:, None, None]
        self.offset = torch.tensor(MEAN / STD, device=self.device)[:, None, None]
        self.parameters = [*self.model.parameters(), *self.heads.parameters()]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=PEAK, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.progress = Progress()
        if (options.out / "state.pt").exists():
            self.load()

    @property
    def share(self) -> float:
        return self.progress.pictures / self.options.pictures

    def train(self) -> None:
        saved = validated = self.progress.seconds
        self.clock = time.monotonic() - self.progress.seconds
        for batch in self.batches():
            losses = self.step(batch.to(self.device))
            if self.progress.seconds - saved > SAVE_EVERY:
                saved = self.progress.seconds
                self.save()
            if self.progress.seconds - validated > VALIDATE_EVERY or self.share >= 1:
                validated = self.progress.seconds
                self.report(losses)
        self.save()

    def batches(self) -> Iterator[Batch]:
        """Drawn by this process on the CPU, by the workers for another device."""
        drawn = Batches(self.options, self.progress.pictures, self.team.rank, self.team.size)
        if self.device.type == "cpu":
            return (drawn[index] for index in range(len(drawn)))
        return iter(
            DataLoader(
                drawn,
                batch_size=None,
                num_workers=self.options.workers,
                prefetch_factor=4,
                pin_memory=True,
                multiprocessing_context="spawn",
            )
        )

    def step(self, batch: Batch) -> dict[str, Tensor]:
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.share, self.options.batch, self.options.peak)
        with self.precision():
            patches = self.model.tower(self.pixels(batch))
        if self.share >= 1 - self.options.doubt and len(batch.spoken):
            batch = self.doubted(patches, batch)
        with self.precision():
            losses = self.losses(patches, batch)
        self.optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.progress.seconds = self.team.agree(self.parameters, time.monotonic() - self.clock)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.keep_average(AVERAGED)
        self.progress.pictures += self.options.batch
        return {name: loss.detach() for name, loss in losses.items()}

    def keep_average(self, share: float) -> None:
        """The present weights become this share of the average."""
        weights = self.model.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [weights[name] for name in self.average], share)

    def precision(self) -> torch.autocast:
        """A context of its own for every pass: weights that are cast without gradients are not kept for later."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bfloat16)

    def doubted(self, patches: Tensor, batch: Batch) -> Batch:
        """The batch with refusals for what the model does not see."""
        with torch.no_grad(), self.precision():
            logits = self.model.logits(patches[batch.spoken], self.before, batch.text)
        return asked_anew(self.tokenizer, batch, doubted(logits.float(), batch)).to(self.device)

    def losses(self, patches: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Of patches, and of answers where there are questions."""
        losses = {"patch loss": patch_loss(self.heads, patches, batch)}
        if len(batch.spoken):
            logits = self.model.logits(patches[batch.spoken], self.before, batch.text)
            losses["answer loss"] = answer_loss(logits, batch)
        return losses

    def pixels(self, batch: Batch) -> Tensor:
        """`[B, 3, 168, 168]`, normalised as serving does."""
        return batch.squares.float() * self.scale - self.offset

    def report(self, losses: dict[str, Tensor]) -> None:
        """One JSON line: the last losses, and accuracy on pictures that are not trained on."""
        own: Scores = {}
        supplies = self.options.supplies()
        stride = VALIDATED_AT_ONCE * self.team.size
        for first in range(VALIDATED_AT_ONCE * self.team.rank, VALIDATION_PICTURES, stride):
            batch = validation_batch(self.tokenizer, supplies, first, VALIDATED_AT_ONCE).to(self.device)
            with torch.inference_mode():
                add(own, self.scores(self.model.tower(self.pixels(batch)), batch))
        scores = self.team.total(own)
        line = {
            "seconds": round(self.progress.seconds),
            "pictures": self.progress.pictures,
            "rate": float(f"{self.optimiser.param_groups[0]['lr']:.3g}"),
            **{name: round(float(value), 4) for name, value in losses.items()},
            **{name: round(good / max(1, count), 3) for name, (good, count) in sorted(scores.items())},
        }
        self.log(line)

    def scores(self, patches: Tensor, batch: Batch) -> Scores:
        """Of what is learnt: right and counted, by name."""
        return {**patch_scores(self.heads, patches, batch), **self.answer_scores(patches, batch)}

    def answer_scores(self, patches: Tensor, batch: Batch) -> Scores:
        return answer_scores(self.model.logits(patches[batch.spoken], self.before, batch.text), batch)

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
            "average": self.average,
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
            "recipe": self.options.recipe,
        }
        part = self.options.out / "state.part"
        torch.save(state, part)
        os.replace(part, self.options.out / "state.pt")

    def load(self) -> None:
        state: dict[str, Any] = torch.load(self.options.out / "state.pt", weights_only=True, map_location=self.device)
        if state["recipe"] != self.options.recipe:
            raise SystemExit(f"{self.options.out} holds another run: {state['recipe']}, not {self.options.recipe}")
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def work(kind: type[Run], options: Options, rank: int, size: int, port: int) -> None:
    """One process of the team, from start to end."""
    torch.set_num_threads(1)
    kind(options, Team(rank, size, port)).train()


def launch(kind: type[Run], options: Options) -> None:
    """A run from start to end: this process, and on the CPU the other workers."""
    options.out.mkdir(parents=True, exist_ok=True)
    provide_vocabulary(options.out / "tokenizer.model", options.start)
    size = options.workers if options.device == "cpu" else 1
    port = free_port()
    context = multiprocessing.get_context("spawn")
    for rank in range(1, size):
        context.Process(target=work, args=(kind, options, rank, size, port), daemon=True).start()
    work(kind, options, 0, size, port)


def main() -> None:
    parser = options_parser("edgevlm_training.train", __doc__)
    add_reading_options(parser)
    launch(Run, read_options(parser))


if __name__ == "__main__":
    main()
