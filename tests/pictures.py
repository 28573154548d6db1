"""Small pictures as clients send them."""

import base64
import io
from typing import Any

from PIL import Image


def data_url(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (40, 30)) -> str:
    """A PNG of one colour."""
    return png_url(Image.new("RGB", size, colour))


def png_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def image_part(url: str | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url() if url is None else url}}


def text_part(text: str = "What is it?") -> dict[str, Any]:
    return {"type": "text", "text": text}


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of one user turn."""
    return [{"role": "user", "content": list(parts)}]
