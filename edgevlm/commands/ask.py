"""`edgevlm ask`: pictures and a question in, the answer on standard output."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_server.option_values import at_least_one
from edgevlm_server.settings import Settings, from_arguments
from edgevlm_server.settings import add_arguments as add_settings

from edgevlm.errors import CommandError

if TYPE_CHECKING:
    from edgevlm_server.images.region import Region

SUFFIXES = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""Of pictures, also of those that are refused: the sentence then is about the question that is missing."""

SHARED = ("provider", "max_length", "plans")
"""Settings of the server that say how to run the model, under the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", nargs="+", help="picture files, then the question")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="bundle, checkpoint, or name of a published model to ask (default: the demo model)",
    )
    parser.add_argument(
        "--confidence", action="store_true", help="say on standard error how sure the model is of its answer, 0 to 1"
    )
    add_region(parser)
    add_answering(parser)


def add_region(parser: argparse.ArgumentParser) -> None:
    """The part of each picture that is looked at."""
    group = parser.add_argument_group("part of the pictures")
    group.add_argument(
        "--crop", metavar="X,Y,WIDTH,HEIGHT", help="look at this part, in pixels, or in percent: pct:25,10,50,30"
    )
    group.add_argument("--rotate", metavar="DEGREES", help="turn it clockwise")
    group.add_argument(
        "--deskew",
        metavar="CORNERS",
        help="in place of --crop: straighten what lies between four corners 'x,y x,y x,y x,y', from the top left one "
        "clockwise",
    )


def chosen_region(arguments: argparse.Namespace) -> "Region | None":
    """What those options say. Raises `CommandError`."""
    from edgevlm_server.images.region import Region, RegionError

    try:
        return Region.parse(arguments.crop, arguments.rotate, arguments.deskew)
    except RegionError as error:
        raise CommandError(f"--{error.field}: {error}.") from None


def add_answering(parser: argparse.ArgumentParser) -> None:
    """How the model runs, and how long it may answer."""
    add_settings(parser, SHARED)
    parser.add_argument(
        "--max-tokens", type=at_least_one, default=256, metavar="N", help="longest answer, in tokens (default: 256)"
    )


def offline_settings(arguments: argparse.Namespace) -> Settings:
    """What those options say."""
    chosen = from_arguments(arguments, names=SHARED)
    return Settings.offline(chosen.provider, chosen.max_length, chosen.plans)


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_server.text.prompt import Mark, Turn

    from edgevlm.offline.local_model import LocalModel

    *pictures, question = arguments.input
    if _is_picture(question):
        raise CommandError(
            f"What do you want to ask? Give a question after the picture: edgevlm ask {question} '...'"
        )
    region = chosen_region(arguments)
    with LocalModel.load(arguments.model, offline_settings(arguments)) as model:
        features = model.features(pictures, region)
        turn = Turn("user", (*[Mark.IMAGE] * len(pictures), question))
        answer = model.answer([turn], features, arguments.max_tokens)
        for piece in answer:
            print(piece, end="", flush=True)
        print()
        if arguments.confidence:
            print(f"confidence {answer.confidence:.4f}", file=sys.stderr)
    return 0


def _is_picture(text: str) -> bool:
    """Whether what should be a question is a file, or the name of a picture that is not there."""
    return os.path.isfile(text) or (len(text.split()) == 1 and Path(text).suffix.lower() in SUFFIXES)
