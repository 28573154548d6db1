"""Requests to try, for the API's description, with real pictures in them. Tests send each of them."""

from base64 import b64encode
from pathlib import Path
from typing import Any

_PICTURES = Path(__file__).parents[1] / "docs"


def _picture(name: str) -> str:
    """A small picture of those that the API's page has, as a data URL."""
    return "data:image/jpeg;base64," + b64encode((_PICTURES / name).read_bytes()).decode("ascii")


LAMP = _picture("lamp.jpg")
GAUGE = _picture("gauge.jpg")
FLANGE = _picture("flange.jpg")

_SHOWN = [{"type": "image_url", "image_url": {"url": LAMP}}, {"type": "text", "text": "Which lamp is on?"}]
_NAMED = [
    {"type": "image_url", "image_url": {"url": FLANGE}, "uuid": "line-4-frame-17"},
    {"type": "text", "text": "How many bolts are missing?"},
]

_PART = [
    {"type": "image_url", "image_url": {"url": LAMP}, "crop": "pct:50,15,50,70", "rotate": -3},
    {"type": "text", "text": "Which lamp is on?"},
]

CHAT: dict[str, Any] = {
    "a picture and a question": {"messages": [{"role": "user", "content": _SHOWN}], "max_tokens": 16},
    "a part of a picture, turned a little": {"messages": [{"role": "user", "content": _PART}], "max_tokens": 16},
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

COMPLETION: dict[str, Any] = {
    "a text to go on with": {"prompt": "USER: What is a gauge? ASSISTANT:", "max_tokens": 16},
    "token ids": {"prompt": [1, 72, 105], "max_tokens": 4, "logprobs": 2},
}

_INPUT = [{"type": "input_image", "image_url": GAUGE}, {"type": "input_text", "text": "What does the gauge read?"}]

_STRAIGHT = [
    {"type": "input_image", "image_url": GAUGE, "deskew": "pct:10,4 90,6 89,96 9,94"},
    {"type": "input_text", "text": "What does the gauge read?"},
]

RESPONSES: dict[str, Any] = {
    "text alone": {"input": "What can you see?", "max_output_tokens": 16},
    "a picture and a question": {"input": [{"role": "user", "content": _INPUT}], "max_output_tokens": 16},
    "what lies between four corners, straightened": {
        "input": [{"role": "user", "content": _STRAIGHT}],
        "max_output_tokens": 16,
    },
}

DECISIONS: dict[str, Any] = {
    "yes or no, about a picture": {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": FLANGE}]}],
        "questions": [{"type": "predicate", "name": "missing", "instructions": "Is a bolt missing?"}],
    },
    "pick one, and how much": {
        "input": "The display reads 834.2, and the red lamp is on.",
        "questions": [
            {
                "type": "choice",
                "name": "lamp",
                "instructions": "Which lamp is on?",
                "choices": [{"value": "red"}, {"value": "amber"}, {"value": "green"}],
            },
            {
                "type": "score",
                "name": "urgency",
                "instructions": "How urgent is it?",
                "levels": [{"label": "not at all"}, {"label": "a little"}, {"label": "very"}],
            },
        ],
    },
}

READINGS: dict[str, Any] = {
    "a number and a choice": {
        "image": GAUGE,
        "fields": [
            {"name": "pressure", "question": "What does the gauge read?", "type": "number", "unit": "bar"},
            {"name": "lamp", "question": "Which lamp is on?", "type": "choice", "choices": ["red", "amber", "green"]},
        ],
    },
    "a count, yes or no, and a text that is not there": {
        "images": [{"type": "image_url", "image_url": {"url": FLANGE}}],
        "fields": [
            {"name": "missing", "question": "How many bolts are missing?", "type": "integer", "maximum": 12},
            {"name": "incomplete", "question": "Is a bolt missing?", "type": "boolean"},
            {
                "name": "serial",
                "question": "What is the serial number on the label?",
                "type": "text",
                "pattern": "[0-9A-Z-]+",
            },
        ],
        "min_confidence": 0.5,
    },
}
