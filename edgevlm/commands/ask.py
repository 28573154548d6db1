"""`edgevlm ask`: pictures and a question in, the answer on standard output."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_server.option_values import at_least_one
from edgevlm_server.settings import Settings, from_arguments
from edgevlm_server.settings import add_arguments as add_settings

from edgevlm.cli import CommandError

if TYPE_CHECKING:
    import numpy as np
    from edgevlm_server.images.intake import ImageIntake
    from numpy.typing import NDArray

SUFFIXES = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""Of pictures, also of those that are refused: the sentence then is about the question that is missing."""

SHARED = ("provider", "max_length")
"""Settings of the server that say how to run the model, under the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", nargs="+", help="picture files, then the question")
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="bundle to ask (default: the demo model)")
    add_settings(parser, SHARED)
    parser.add_argument(
        "--max-tokens", type=at_least_one, default=256, metavar="N", help="longest answer, in tokens (default: 256)"
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_server.images.intake import ImageIntake
    from edgevlm_server.images.limits import ImageLimits
    from edgevlm_server.model import load_model
    from edgevlm_server.offline import TooLong, answer, encode
    from edgevlm_server.text.prompt import Mark, Turn

    from edgevlm.demo_bundle import find_bundle

    *pictures, question = arguments.input
    if _is_picture(question):
        raise CommandError(
            f"What do you want to ask? Give a question after the picture: edgevlm ask {question} '...'"
        )
    chosen = from_arguments(arguments, names=SHARED)
    settings = Settings.offline(chosen.provider, chosen.max_length)
    model = load_model(find_bundle(arguments.model), settings)
    try:
        with ImageIntake(ImageLimits(), model.manifest.preprocessing, workers=1) as intake:
            pixels = [_read(intake, Path(name)) for name in pictures]
        turns = [Turn("user", (*[Mark.IMAGE] * len(pixels), question))]
        try:
            for piece in answer(model, turns, encode(model, pixels), max_tokens=arguments.max_tokens):
                print(piece, end="", flush=True)
        except TooLong as error:
            raise CommandError(str(error)) from None
        print()
    finally:
        model.engine.close()
    return 0


def _is_picture(text: str) -> bool:
    """Whether what should be a question is a file, or the name of a picture that is not there."""
    return os.path.isfile(text) or (len(text.split()) == 1 and Path(text).suffix.lower() in SUFFIXES)


def _read(intake: "ImageIntake", path: Path) -> "NDArray[np.float32]":
    from edgevlm_server.images.decoder import ImageWorkerError
    from edgevlm_server.images.limits import ImageError

    try:
        return intake.pixels_of_file(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except (ImageError, ImageWorkerError) as error:
        raise CommandError(f"{path}: {error}") from None
