"""What the clients send: questions whose answers are known, and what must be refused. Sends nothing."""

import base64
import json
import random
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tests.pictures import data_url, image_part, text_part, user
from tests.server.images.image_files import data_url as file_url
from tests.server.images.image_files import encode, noise

SIZES = ((336, 336), (640, 480), (1280, 720), (1920, 1080))
PAIRS = 24
LENGTHS = (1, 4, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Question:
    """A chat body without `stream`, and the end of its answer where that is known before it is asked."""

    body: dict[str, Any]
    end: str = ""

    @property
    def text(self) -> str:
        """No other question has it."""
        text: str = self.body["messages"][0]["content"][-1]["text"]
        return text


def questions(seed: int) -> list[Question]:
    """Pairs of a picture and a word that no other has, answered in 1 to 64 tokens."""
    chance = random.Random(seed)
    made = []
    for index in range(PAIRS):
        width, height = SIZES[index % len(SIZES)]
        # smooth, or a picture of this size would be megabytes
        picture = noise(width // 40, height // 40, index).resize((width, height), Image.Resampling.BICUBIC)
        word = f"{chance.randrange(10**9)}"
        parts = [image_part(file_url(encode(picture, "PNG" if width < 1000 else "JPEG")))] if index % 6 else []
        made.append(
            Question({"messages": user(*parts, text_part(word)), "max_tokens": LENGTHS[index % len(LENGTHS)]})
        )
    return made


def fresh_question(chance: random.Random) -> Question:
    """With a picture that nobody has sent before: caches fill and give way."""
    word = f"{chance.randrange(10**9)}"
    colour = (chance.randrange(256), chance.randrange(256), chance.randrange(256))
    part = image_part(data_url(colour, (64, 64)))
    return Question({"messages": user(part, text_part(word)), "max_tokens": 64}, f"{word} ASSISTANT:")


def refused_bodies() -> list[bytes]:
    """Each is to get a 4xx of its own kind."""

    def chat(**fields: Any) -> bytes:
        return json.dumps({"messages": user(text_part()), **fields}).encode()

    def picture(url: str) -> bytes:
        return json.dumps({"messages": user(image_part(url), text_part())}).encode()

    cut = encode(noise(64, 64), "PNG")[:-3000]
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\2\0\0\0"
    return [
        b"{",
        b'{"messages": [], "messages": []}',
        b"[" * 30_000,
        b'{"temperature": NaN, "messages": []}',
        chat(max_tokens=-1),
        chat(max_tokens=True),
        chat(model="another"),
        chat(stop=["a"] * 9),
        chat(surprise=1),
        picture("https://192.0.2.7/part.png"),
        picture("data:image/png;base64,@@@@"),
        picture("data:image/png;base64," + base64.b64encode(b"no picture").decode()),
        picture(file_url(cut)),
        picture("data:image/png;base64," + base64.b64encode(bomb + bytes(30)).decode()),
        json.dumps({"messages": [{"role": "user", "content": "x" * 40_000}]}).encode(),
    ]
