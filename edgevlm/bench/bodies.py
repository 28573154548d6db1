"""What a load test asks: chat requests with drawn or given pictures, encoded before the clock starts."""

import base64
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from math import lcm
from pathlib import Path

from edgevlm.errors import CommandError

QUESTION = "Describe the image."
SEEDS = 90_000_000
"""Evaluation seeds to choose a first one from."""

_MEDIA_TYPES = {"jpg": "jpeg", "tif": "tiff"}  # where the name's ending is not the type's name
_QUALITY = 90  # of drawn pictures, as JPEG: what cameras send


def drawn_pictures(seeds: Iterable[int]) -> Iterator[str]:
    """A data URL for each seed, counted from the first one that the demo model was never trained on."""
    from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, SCENES, draw_scene

    for seed in seeds:
        file = io.BytesIO()
        draw_scene(SCENES[seed % len(SCENES)], FIRST_EVALUATION_SEED + seed).image.save(
            file, "JPEG", quality=_QUALITY
        )
        yield _data_url("jpeg", file.getvalue())


def picture_file(path: Path) -> str:
    """A data URL with the file as it is. Raises `CommandError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    suffix = path.suffix.removeprefix(".").lower()
    return _data_url(_MEDIA_TYPES.get(suffix, suffix or "png"), data)


def chat_bodies(
    model: str, pictures: Sequence[str], questions: Sequence[str], max_tokens: int, count: int | None = None
) -> list[bytes]:
    """`count` requests, pictures and questions in turn; without a count, until the pairs would come again."""
    pairs = zip(cycle(pictures), cycle(questions), strict=False)
    chosen = islice(pairs, lcm(len(pictures), len(questions)) if count is None else count)
    return [chat_body(model, picture, question, max_tokens) for picture, question in chosen]


def chat_body(model: str, picture: str, question: str, max_tokens: int) -> bytes:
    """A streamed request for the most likely answer."""
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": question}]
    body = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(body).encode()


def _data_url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
