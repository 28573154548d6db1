"""`python -m edgevlm_training.refusals --out DIR --from CHECKPOINT`: a short run that teaches where to refuse.

It learns no new reading. A true answer to which the checkpoint gives a low probability becomes the refusal, and more
is asked of answers about what a camera sees than of those about plain scenes, which it reads. A run that is stopped
begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgevlm_training.batches import Batch, asked_anew, training_batch
from edgevlm_training.losses import DOUBTED, answer_loss, doubted
from edgevlm_training.mixture import FOR_REFUSALS
from edgevlm_training.options import Options, options_parser, read_options
from edgevlm_training.published import load_published
from edgevlm_training.team import Scores, Team
from edgevlm_training.train import Run, launch

PEAKS = 1.2e-4, 3.5e-4  # of the tower and of the language part
WARM_UP = 0.03  # of the run
LEAST = {**dict.fromkeys(DOUBTED, 0.7), "display reading": 0.8, "gauge reading": 0.4}
PLAIN_LEAST = {**dict.fromkeys(DOUBTED, 0.4), "display reading": 0.6, "label text": 0.5, "gauge reading": 0.25}
AVERAGED = 0.005


class Refusals(Run):
    """Trains the answers alone, and judges doubt by the checkpoint that it begins with."""

    def __init__(self, options: Options, team: Team) -> None:
        super().__init__(options, team)
        assert options.start
        self.reference = load_published(options.start)
        tower = list(self.model.tower.parameters())
        seeing = {id(parameter) for parameter in tower}
        speaking = [parameter for parameter in self.model.parameters() if id(parameter) not in seeing]
        self.parameters = [*tower, *speaking]
        groups = [{"params": tower}, {"params": speaking}]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.02, fused=True)

    def load(self) -> None:
        """A short run is not gone on with."""

    def batches(self) -> Iterator[Batch]:
        supplies, size = self.options.supplies(), self.options.batch // self.team.size
        for first in range(size * self.team.rank, self.options.pictures, self.options.batch):
            yield training_batch(self.tokenizer, supplies, self.options.seed, first, size, 0.0, FOR_REFUSALS)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        share = self.share
        for group, peak in zip(self.optimiser.param_groups, PEAKS, strict=True):
            group["lr"] = peak * min(1.0, share / WARM_UP + 0.02) * (1 - share)
        pixels = self.pixels(batch)
        with torch.no_grad(), self.precision():
            seen = self.reference.logits(self.reference.tower(pixels)[batch.spoken], self.before, batch.text)
        batch = asked_anew(self.tokenizer, batch, doubted(seen.float(), batch, LEAST, PLAIN_LEAST))
        with self.precision():
            patches = self.model.tower(pixels)
            loss = answer_loss(self.model.logits(patches[batch.spoken], self.before, batch.text), batch)
        self.optimiser.zero_grad()
        loss.backward()
        self.progress.seconds = self.team.agree(self.parameters, time.monotonic() - self.clock)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.keep_average(max(AVERAGED, 1 / (2 + self.progress.pictures / self.options.batch)))
        self.progress.pictures += self.options.batch
        return {"answer loss": loss.detach()}

    def scores(self, patches: Tensor, batch: Batch) -> Scores:
        """The heads learn nothing here."""
        return self.answer_scores(patches, batch)


def main() -> None:
    launch(Refusals, read_options(options_parser("edgevlm_training.refusals", __doc__, needs_start=True)))


if __name__ == "__main__":
    main()
