"""Requests of programs that are too large to install for a test, in the shapes that their sources or they gave.

Each has what its program sends by default; pictures and questions are ours.
"""

from typing import Any

from tests.pictures import data_url

URL = data_url()
PICTURE = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}
SCHEMA = {
    "type": "object",
    "title": "Reading",
    "properties": {"unit": {"title": "Unit", "type": "string", "enum": ["bar", "V"]}},
    "required": ["unit"],
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


def asked(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


CHATS: dict[str, dict[str, Any]] = {
    "LLM Vision": {
        "messages": asked(text("Image 1:"), PICTURE, text("Camera 2:"), PICTURE, text("What has changed?")),
        "max_tokens": 1000,
        "temperature": 0.5,
    },
    "Frigate": {
        "messages": asked(text("Describe the object."), PICTURE, PICTURE),
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "review", "strict": True, "schema": {**SCHEMA, "additionalProperties": False}},
        },
    },
    "Frigate, with tools": {"messages": asked(text("Who was it?")), "tools": [TOOL], "tool_choice": "auto"},
    "Karakeep": {
        "messages": asked(text("Tag it."), PICTURE),
        "max_tokens": 2048,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "schema",
                "strict": True,
                "schema": {
                    **SCHEMA,
                    "additionalProperties": False,
                    "$schema": "http://json-schema.org/draft-07/schema#",
                },
            },
        },
    },
    "Open WebUI": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            *asked(text("What is it?"), PICTURE),
            {"role": "assistant", "content": "A gauge."},
            {"role": "user", "content": "Which unit?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 4096,
        "temperature": 0.8,
        "stop": [],
        "tools": [TOOL],
    },
    "n8n": {
        "messages": [
            {"role": "system", "content": "You are a helpful assistant"},
            *asked(text("What is it?"), {"type": "image_url", "image_url": {"url": URL}}),
        ],
        "temperature": 1,
        "top_p": 1,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "n": 1,
        "stream": False,
        "tools": [TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    },
}

HOME_ASSISTANT_SCHEMA = {
    "type": "object",
    "strict": True,
    "additionalProperties": False,
    "properties": {
        "unit": {"type": "string", "description": "The unit"},
        "count": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
    },
    "required": ["unit", "count"],
}

RESPONSES: dict[str, dict[str, Any]] = {
    "Home Assistant": {
        "input": [
            {"type": "message", "role": "developer", "content": "You are a voice assistant."},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": URL, "detail": "auto"},
                ],
            },
        ],
        "max_output_tokens": 3000,
        "top_p": 1.0,
        "temperature": 1.0,
        "user": "01JABC",
        "store": False,
        "stream": True,
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "text": {"verbosity": "medium"},
        "tools": [
            {"type": "function", "name": "HassTurnOn", "parameters": {"type": "object"}, "strict": False},
            {"type": "web_search_preview", "search_context_size": "medium"},
        ],
    },
    "Home Assistant, with a structure": {
        "input": [{"type": "message", "role": "user", "content": "Which unit?"}],
        "max_output_tokens": 3000,
        "text": {"format": {"type": "json_schema", "name": "reading", "schema": HOME_ASSISTANT_SCHEMA}},
        "stream": True,
    },
    "n8n": {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}]}],
        "store": True,
        "background": False,
        "parallel_tool_calls": True,
        "max_tool_calls": None,
        "conversation": None,
        "prompt": None,
        "reasoning": None,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "include": [],
        "truncation": "disabled",
        "metadata": {},
        "temperature": 1,
        "top_p": 1,
    },
}

REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "AI SDK, a second turn": (
        "/v1/responses",
        {"input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "And?"}]},
        "input.0",
    ),
}
"""What cannot be answered as it is meant: the route, the request, and the field that is named."""
