"""Pictures with questions as a model takes them: drawings of factory scenes, or the user's own. Knows no engine."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevlm.errors import CommandError

if TYPE_CHECKING:
    from edgevlm_engines import Manifest, Preprocessing
    from edgevlm_server.text.tokenizer import Tokenizer

QUESTIONS = 2  # about each drawing
OWN = "questions.jsonl"
DRAWINGS = Path("drawings")
"""In place of a folder: the built-in drawings."""
FIRST_DRAWING = 500_000_000
"""Seed of the drawings to calibrate on; what is compared are others."""
CALIBRATION_PICTURES = 16

Array = NDArray[np.float32]


class Case(NamedTuple):
    """One question: `pixels` `[3, size, size]`, `tokens` `[n]`; its picture is the one before's if `shared`."""

    pixels: Array
    tokens: NDArray[np.int64]
    shared: bool


class Question(NamedTuple):
    """A line of the user's file."""

    image: Path
    text: str


class Questions(NamedTuple):
    """Cases, made as they are asked for; how many there are, and how many of them begin with another picture."""

    cases: Iterator[Case]
    number: int
    pictures: int


def calibration_questions(bundle: Path, folder: Path | None) -> Questions:
    """The user's questions in `folder`, or some about drawings. Raises `CommandError`."""
    from edgevlm_engines import TOKENIZER, read_manifest
    from edgevlm_server.text.tokenizer import Tokenizer

    manifest, tokenizer = read_manifest(bundle), Tokenizer(bundle / TOKENIZER)
    questions = own_questions(folder)
    if questions is None:
        cases = drawn_cases(manifest, tokenizer, FIRST_DRAWING, CALIBRATION_PICTURES)
        return Questions(cases, QUESTIONS * CALIBRATION_PICTURES, CALIBRATION_PICTURES)
    pictures = sum(1 for _ in groupby(questions, key=lambda question: question.image))
    return Questions(own_cases(manifest, tokenizer, questions), len(questions), pictures)


def drawn_cases(manifest: "Manifest", tokenizer: "Tokenizer", first: int, pictures: int) -> Iterator[Case]:
    """Drawings of each kind in turn, the first one from the seed `first`."""
    from edgevlm_demo.scenes import SCENES, draw_scene
    from edgevlm_server.images.decode.preprocess import preprocess

    for number in range(pictures):
        scene = draw_scene(SCENES[number % len(SCENES)], first + number)
        pixels = preprocess(scene.image, manifest.preprocessing)
        for index, question in enumerate(scene.questions[:QUESTIONS]):
            yield Case(pixels, _tokens(manifest, tokenizer, question.text), shared=index > 0)


def drawn_pictures(spec: "Preprocessing") -> Iterator[Array]:
    """The drawings to calibrate a vision encoder on."""
    from edgevlm_demo.scenes import SCENES, draw_scene
    from edgevlm_server.images.decode.preprocess import preprocess

    for number in range(CALIBRATION_PICTURES):
        yield preprocess(draw_scene(SCENES[number % len(SCENES)], FIRST_DRAWING + number).image, spec)


def own_cases(manifest: "Manifest", tokenizer: "Tokenizer", questions: list[Question]) -> Iterator[Case]:
    """The user's questions in their order. Raises `CommandError` for a picture that cannot be read."""
    from edgevlm_server.images.formats.limits import ImageLimits
    from edgevlm_server.images.intake import ImageIntake

    from edgevlm.pictures import picture_pixels

    before: Path | None = None
    pixels: Array = np.zeros(0, np.float32)
    with ImageIntake(ImageLimits(), manifest.preprocessing, workers=1) as intake:
        for image, text in questions:
            tokens = _tokens(manifest, tokenizer, text)
            if len(tokens) > manifest.max_length:
                raise CommandError(f"{text[:60]!r} takes {len(tokens)} positions; {manifest.max_length} are allowed.")
            pixels = pixels if image == before else picture_pixels(intake, image)
            yield Case(pixels, tokens, shared=image == before)
            before = image


def own_questions(folder: Path | None) -> list[Question] | None:
    """The user's, or `None` where drawings are meant. Raises `CommandError`."""
    if folder is None or (folder == DRAWINGS and not folder.is_dir()):
        return None
    return read_questions(folder)


def read_questions(folder: Path) -> list[Question]:
    """`questions.jsonl` in the folder: `image`, a file of the folder, and `text` in each line.

    Raises `CommandError`, naming the line, for anything else.
    """
    path = folder / OWN
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}.") from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    questions = [_question(folder, f"{path}, line {number}", line) for number, line in numbered]
    if not questions:
        raise CommandError(f"{path} holds no questions.")
    return questions


def _question(folder: Path, place: str, line: str) -> Question:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    match entry:
        case {"image": str(image), "text": str(text)} if text.strip():
            if not (folder / image).is_file():
                raise CommandError(f"{place}: there is no file {folder / image}.")
            return Question(folder / image, text.removeprefix("<image>\n"))
    raise CommandError(f'{place}: {{"image": "a file", "text": "a question"}} is needed.')


def _tokens(manifest: "Manifest", tokenizer: "Tokenizer", text: str) -> NDArray[np.int64]:
    from edgevlm_server.text.prompt import Mark, Turn, encode_conversation

    turns = [Turn("user", (Mark.IMAGE, text))]
    return np.array(encode_conversation(tokenizer, manifest.prompt, manifest.vision.image_tokens, turns), np.int64)
