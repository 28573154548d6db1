"""Requests to try, for the API's description. Tests send each of them."""

from typing import Any

PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
"""One red pixel: short enough to be read, and a picture all the same."""

_QUESTION = {"type": "text", "text": "Which lamp is on?"}
_SHOWN = [{"type": "image_url", "image_url": {"url": PICTURE}}, _QUESTION]
_NAMED = [{"type": "image_url", "image_url": {"url": PICTURE}, "uuid": "line-4-frame-17"}, _QUESTION]

CHAT: dict[str, Any] = {
    "a picture and a question": {"messages": [{"role": "user", "content": _SHOWN}], "max_tokens": 16},
    "text alone": {"messages": [{"role": "user", "content": "What can you see?"}], "max_tokens": 16},
    "a picture to ask about again": {"messages": [{"role": "user", "content": _NAMED}], "max_tokens": 16},
    "the same picture by its name": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "uuid": "line-4-frame-17"},
                    {"type": "text", "text": "Is a bolt missing?"},
                ],
            }
        ],
        "max_tokens": 16,
    },
}

TOKENIZE: dict[str, Any] = {
    "a text": {"prompt": "Which lamp is on?", "return_token_strs": True},
    "a conversation with a picture": {"messages": [{"role": "user", "content": _SHOWN}]},
}

DETOKENIZE: dict[str, Any] = {"three tokens": {"tokens": [1, 72, 105]}}
