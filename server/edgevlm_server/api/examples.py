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

COMPLETION: dict[str, Any] = {
    "a text to go on with": {"prompt": "USER: What is a gauge? ASSISTANT:", "max_tokens": 16},
    "token ids": {"prompt": [1, 72, 105], "max_tokens": 4, "logprobs": 2},
}

_INPUT = [{"type": "input_image", "image_url": PICTURE}, {"type": "input_text", "text": "Which lamp is on?"}]

RESPONSES: dict[str, Any] = {
    "text alone": {"input": "What can you see?", "max_output_tokens": 16},
    "a picture and a question": {"input": [{"role": "user", "content": _INPUT}], "max_output_tokens": 16},
}

DECISIONS: dict[str, Any] = {
    "yes or no, about a picture": {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}],
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
        "image": PICTURE,
        "fields": [
            {"name": "pressure", "question": "What does the gauge read?", "type": "number", "unit": "bar"},
            {"name": "lamp", "question": "Which lamp is on?", "type": "choice", "choices": ["red", "amber", "green"]},
        ],
    },
    "a text, a count, and yes or no": {
        "images": [{"type": "image_url", "image_url": {"url": PICTURE}}],
        "fields": [
            {
                "name": "serial",
                "question": "What is the serial number on the label?",
                "type": "text",
                "pattern": "[0-9A-Z-]+",
            },
            {"name": "missing", "question": "How many bolts are missing?", "type": "integer", "maximum": 12},
            {"name": "defect", "question": "Does the plate have a defect?", "type": "boolean"},
        ],
        "min_confidence": 0.5,
    },
}
