"""The AI SDK with its defaults: pictures, streams, offered tools, a second turn and a schema, by each of its ways."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ROOT
from tests.live import LiveServer

PICTURE = ROOT / "examples/display.jpg"
READS = "834.2"


@pytest.fixture
def seen(demo: LiveServer, beside_packages: Path) -> dict[str, Any]:
    script = shutil.copy(ROOT / "tests/node/ai_sdk.mjs", beside_packages)
    command = ["node", script, demo.url, PICTURE, "What does the display read?"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_its_defaults_are_answered(seen: dict[str, Any]) -> None:
    for name in ("responses", "chat", "compatible"):
        assert [seen[name][way] for way in ("whole", "streamed", "tools")] == [READS] * 3, name
    assert seen["filled"]["value"] == READS
    # whatever the demo model makes of it, it has the schema's form
    assert seen["inOnePiece"]["value"] in ("3.0", READS)


def test_a_second_turn_takes_the_answer_back_or_is_told_how(seen: dict[str, Any]) -> None:
    """By default it refers to items that OpenAI has stored."""
    assert "clients do with 'store': false" in seen["responses"]["twice"]["error"]
    for text in (seen["responses"]["unstored"], seen["chat"]["twice"], seen["compatible"]["twice"]):
        assert isinstance(text, str) and text
