"""What a training run is told on the command line. Knows no torch."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from edgevlm_demo.plant import Supplies, shipped_fonts
from edgevlm_demo.scenes import DATA_VERSION

from edgevlm_training.mixture import DRAWN
from edgevlm_training.schedule import PEAK, PRACTICE
from edgevlm_training.seeds import LAST_RUN, PICTURES_PER_RUN

FONTS = Path(__file__).resolve().parents[1] / "fonts"
PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Options:
    """`doubt`: the share of the run, at its end, in which the model learns to refuse.

    `peak`, `practice` and `drawn`: the highest learning rate, and the shares of practice sheets at the beginning and
    of plain scenes among the other pictures.
    """

    out: Path
    start: Path | None
    photographs: Path | None
    pictures: int
    seed: int
    batch: int
    workers: int
    bfloat16: bool
    doubt: float = 0.0
    peak: float = PEAK
    practice: float = PRACTICE[0]
    drawn: float = DRAWN
    device: str = "cpu"

    def supplies(self) -> Supplies:
        fonts = (*shipped_fonts(), *sorted(FONTS.glob("*.woff")))
        found = sorted(self.photographs.rglob("*")) if self.photographs else []
        return Supplies(fonts, tuple(path for path in found if path.suffix.lower() in PHOTOGRAPHS))

    @property
    def recipe(self) -> dict[str, float | str]:
        """What a run must share with the state that it goes on from."""
        return {
            "data version": DATA_VERSION,
            "from": _place(self.start),
            "photographs": _place(self.photographs),
            "seed": self.seed,
            "pictures": self.pictures,
            "batch": self.batch,
            "doubt": self.doubt,
            "peak": self.peak,
            "practice": self.practice,
            "drawn": self.drawn,
        }


def options_parser(program: str, description: str | None, *, needs_start: bool = False) -> argparse.ArgumentParser:
    """With the options that every run has."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="folder for state.pt, tokenizer.model and train.log")
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        required=needs_start,
        help="checkpoint to begin with" + ("" if needs_start else "; without it from nothing"),
    )
    parser.add_argument("--photographs", type=Path, help="folder of pictures without any device, searched through")
    parser.add_argument("--pictures", type=int, default=170_000, help="of the whole run")
    parser.add_argument("--seed", type=int, default=1, help=f"1 to {LAST_RUN}")
    parser.add_argument("--batch", type=int, default=16, help="pictures in a step, over all processes")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16")
    return parser


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """What a run that learns to read has besides."""
    parser.add_argument(
        "--doubt", type=float, default=0.2, help="share of the run that learns to refuse, its last part"
    )
    parser.add_argument("--peak", type=float, default=PEAK, help="highest learning rate, at a batch of 16")
    parser.add_argument("--practice", type=float, default=PRACTICE[0], help="share of practice sheets at first")
    parser.add_argument("--drawn", type=float, default=DRAWN, help="share of plain scenes among the other pictures")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda, for which the workers draw")


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None = None) -> Options:
    """Those of the command line, unless `arguments` are given; ends the program where they cannot be."""
    options = Options(**vars(parser.parse_args(arguments)))
    if not 1 <= options.seed <= LAST_RUN:
        parser.error(f"--seed must be 1 to {LAST_RUN}")
    if not 1 <= options.pictures <= PICTURES_PER_RUN:
        parser.error(f"--pictures must be 1 to {PICTURES_PER_RUN}")
    for name in ("doubt", "practice", "drawn"):
        if not 0 <= getattr(options, name) <= 1:
            parser.error(f"--{name} must lie between 0 and 1")
    if options.peak <= 0:
        parser.error("--peak must be above 0")
    if options.workers < 1 or (options.device == "cpu" and options.batch % options.workers):
        parser.error("--workers must be at least 1, and on the CPU divide --batch")
    return options


def _place(folder: Path | None) -> str:
    """The same from wherever a run is started."""
    return str(folder.resolve()) if folder else ""
