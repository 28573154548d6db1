"""instructor: its default, which demands a tool call, is told what to use; its modes for JSON are answered."""

import json
from typing import Any

import pytest

from tests.clients.conftest import ROOT, Script
from tests.live import LiveServer

PICTURE = ROOT / "examples/display.jpg"
READING = {"value": "834.2"}


def ask(run_script: Script, server: LiveServer, *ways: str) -> dict[str, Any]:
    return run_script("ask_instructor.py", server.url, PICTURE, *ways)


def test_a_demanded_tool_call_is_told_what_to_use(demo: LiveServer, run_script: Script) -> None:
    seen = ask(run_script, demo, "default", "provider", "responses")
    for outcome in seen.values():
        assert outcome["error"]["cause"] == "BadRequestError"
        assert "'tool_choice' is not supported: MobileVLM models cannot call tools" in outcome["error"]["message"]
        assert "'response_format'" in outcome["error"]["message"]


def test_a_schema_is_followed_whole_in_parts_and_when_asked_again(demo: LiveServer, run_script: Script) -> None:
    seen = ask(run_script, demo, "schema", "schema_partial", "provider_schema", "schema_asked_again")
    first, again, error = seen.pop("schema_asked_again")
    assert seen == dict.fromkeys(seen, READING)
    assert json.loads(first).keys() == READING.keys()
    # what instructor says then is no question about the picture, and the demo model cannot tell
    assert again is None
    assert error == "ValidationError"


@pytest.mark.parametrize(("way", "start"), [("json", "{"), ("markdown", "")])
def test_a_schema_in_words_is_answered(demo: LiveServer, run_script: Script, way: str, start: str) -> None:
    """Whether the answer fits is the model's affair."""
    answer, *_ = ask(run_script, demo, way)[way]
    assert answer and answer.startswith(start)
