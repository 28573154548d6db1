"""`python -m edgevlm_demo.examples FOLDER`: the example pictures, each with its request for curl and its true answer.

Seeds are held out; the answers are the drawings' own, not the model's.
"""

import argparse
import base64
import io
import json
from pathlib import Path
from typing import NamedTuple

from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, draw_scene


class Example(NamedTuple):
    """One question about one picture; `body` names the request's file."""

    picture: str
    body: str
    scene: str
    seed: int
    family: str
    question: str


EXAMPLES = (
    Example("lamp.png", "question.json", "signal tower", 1004, "lit lamp", "Which lamp is on?"),
    Example("display.jpg", "display.json", "display", 1003, "display reading", "What does the display read?"),
    Example("label.jpg", "label.json", "label", 1007, "label text", "What is the serial number on the label?"),
    Example("gauge.jpg", "gauge.json", "dial gauge", 1000, "gauge reading", "What does the gauge read?"),
    Example("flange.jpg", "flange.json", "flange", 1007, "bolts missing", "How many bolts are missing?"),
    Example("plate.jpg", "plate.json", "metal plate", 1001, "defect", "Which defect does the plate have?"),
    Example("panel.jpg", "panel.json", "panel", 1005, "display reading", "What does the display read?"),
    Example("wall.jpg", "wall.json", "empty", 1001, "presence", "Is there a signal tower in the image?"),
)


def write_examples(folder: Path) -> None:
    """Write every picture and request, and `examples.json` with questions and answers."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for example in EXAMPLES:
        picture, answer = _draw(example)
        (folder / example.picture).write_bytes(picture)
        kind = "png" if example.picture.endswith("png") else "jpeg"
        url = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": example.question}]
        _write_json(folder / example.body, {"messages": [{"role": "user", "content": content}]})
        listed.append(
            {"picture": example.picture, "body": example.body, "question": example.question, "answer": answer}
        )
    _write_json(folder / "examples.json", listed)


def _draw(example: Example) -> tuple[bytes, str]:
    """The picture's file and the true answer."""
    scene = draw_scene(example.scene, FIRST_EVALUATION_SEED + example.seed)
    answer = next(question.answer for question in scene.questions if question.family == example.family)
    file = io.BytesIO()
    if example.picture.endswith("png"):
        scene.image.save(file, "PNG", optimize=True)
    else:
        scene.image.save(file, "JPEG", quality=92)
    return file.getvalue(), answer


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m edgevlm_demo.examples", description=__doc__)
    parser.add_argument("folder", type=Path)
    write_examples(parser.parse_args().folder)


if __name__ == "__main__":
    main()
