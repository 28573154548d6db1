"""What is too small in a camera's frame for the demo model is read from a part of it."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from edgevlm_demo.scenes.background import background
from PIL import Image

from tests.boundaries.walls import ROOT
from tests.live import LiveServer

EXAMPLES = ROOT / "examples"
CASES = {case["picture"]: case for case in json.loads((EXAMPLES / "examples.json").read_text())}
READ = ("display.jpg", "gauge.jpg", "label.jpg")
SMALL, SMALLER = 1 / 3, 1 / 6
"""Shares of the frame's width."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(demo_model: Path) -> Iterator[LiveServer]:
    with LiveServer.on_bundle(demo_model) as live:
        yield live


def framed(picture: str, share: float, seed: int) -> tuple[Image.Image, str]:
    """A frame of 1280 x 720 pixels with the picture somewhere in it, and where that is."""
    random = Random(seed)
    frame = background(random, 1280, 720)
    with Image.open(EXAMPLES / picture) as opened:
        width = round(1280 * share)
        shown = opened.convert("RGB").resize((width, round(opened.height * width / opened.width)))
    left, top = random.randint(0, 1280 - shown.width), random.randint(0, 720 - shown.height)
    frame.paste(shown, (left, top))
    return frame, f"{left},{top},{shown.width},{shown.height}"


def read(server: LiveServer, picture: str, frame: Image.Image, **part: str) -> bool:
    """Whether the model reads what there is to read."""
    file = io.BytesIO()
    frame.save(file, "PNG")
    data = {"question": CASES[picture]["question"], "max_tokens": "16", **part}
    reply = server.client.post("/ask", files={"image": file.getvalue()}, data=data)
    assert reply.status_code == 200, reply.text
    answer: str = CASES[picture]["answer"]
    return reply.text.strip() == answer


@pytest.mark.parametrize("share", [SMALL, SMALLER])
@pytest.mark.parametrize("picture", READ)
def test_a_device_that_fills_little_of_a_frame_is_read_from_its_part(
    server: LiveServer, picture: str, share: float
) -> None:
    frames = [framed(picture, share, seed) for seed in range(5)]
    assert [read(server, picture, frame, crop=where) for frame, where in frames] == [True] * 5
    if share == SMALLER:
        assert [read(server, picture, frame) for frame, _ in frames] == [False] * 5


def test_a_display_that_hangs_sideways_is_read_once_it_is_turned(server: LiveServer) -> None:
    frame, where = framed("display.jpg", SMALL, seed=0)
    left, top, width, height = map(int, where.split(","))
    sideways = frame.transpose(Image.Transpose.ROTATE_90)
    crop = f"{top},{1280 - left - width},{height},{width}"
    assert read(server, "display.jpg", sideways, crop=crop, rotate="90")
    assert not read(server, "display.jpg", sideways, crop=crop)


def test_a_tilted_display_is_read_once_it_is_straightened(server: LiveServer) -> None:
    """The frame is seen from a side, so that the display's corners make no rectangle any more."""
    frame, where = framed("display.jpg", SMALL, seed=0)
    left, top, width, height = map(int, where.split(","))
    # where pixels come from: the frame is turned away to the right, and tilted
    tilt, shear, lift = -0.0003, 0.25, 200
    seen_from = (1, 0, 0, shear, 1, -lift, tilt, 0)
    seen = frame.transform(frame.size, Image.Transform.PERSPECTIVE, seen_from, Image.Resampling.BICUBIC)

    def shown_at(x: float, y: float) -> str:
        across = x / (1 - tilt * x)
        return f"{across:.2f},{y * (1 + tilt * across) - shear * across + lift:.2f}"

    right, bottom = left + width, top + height
    corners = " ".join(shown_at(x, y) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)))
    assert read(server, "display.jpg", seen, deskew=corners)
