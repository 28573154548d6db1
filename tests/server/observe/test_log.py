"""The log: a line for each request with all that is known of it and nothing that is secret, as text and as JSON."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.observe.log_form import JsonForm, TextForm
from edgevlm_server.settings import Settings

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import until

Bundles = Callable[[str], Path]


@pytest.fixture
def keyed(bundles: Bundles, tmp_path: Path) -> Iterator[tuple[LiveServer, str]]:
    key = add_key(tmp_path / "keys", "camera-1")
    settings = Settings(engine="echo", api_keys=tmp_path / "keys")
    ring = KeyRing.load(tmp_path / "keys")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, ring) as server:
        yield server, key


def lines(caplog: pytest.LogCaptureFixture, count: int) -> list[logging.LogRecord]:
    """Of the access log, once there are so many."""

    def there() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == "edgevlm.access"]

    until(lambda: len(there()) >= count, "lines in the access log")
    return there()


def test_a_line_has_all_that_is_known(keyed: tuple[LiveServer, str], caplog: pytest.LogCaptureFixture) -> None:
    server, key = keyed
    picture, question = data_url((7, 7, 7)), "Which lamp is on, zq7?"
    headers = {"authorization": f"Bearer {key}", "x-request-id": "frame-7"}
    body = {"messages": user(image_part(picture), text_part(question)), "max_tokens": 3}
    with caplog.at_level(logging.INFO):
        response = server.client.post("/v1/chat/completions", json=body, headers=headers)
        [line] = lines(caplog, 1)
    found = json.loads(JsonForm().format(line))
    assert datetime.fromisoformat(found["time"]).tzinfo is not None
    assert (found["level"], found["logger"]) == ("INFO", "edgevlm.access")
    expected = {
        "id": "frame-7",
        "client": "camera-1",
        "address": "127.0.0.1",
        "route": "/v1/chat/completions",
        "status": 200,
        "outcome": "ok",
        "model": "v2",
        "pictures": 1,
        "tokens": 3,
        "prompt_tokens": response.json()["usage"]["prompt_tokens"],
        "sent_bytes": len(response.content),
    }
    assert found.items() >= expected.items()
    stages = [name for name in found if name.endswith("_seconds")]
    assert stages == [
        f"{one}_seconds" for one in ("body", "prepare", "pictures", "queue", "prefill", "decode", "send")
    ]
    assert found["seconds"] >= sum(found[stage] for stage in stages) - 1e-5

    answer = response.json()["choices"][0]["message"]["content"]
    text = TextForm().format(line)
    assert "id=frame-7 client=camera-1 address=127.0.0.1" in text
    for secret in (key, question, "zq7", answer, picture, picture[-40:]):
        assert secret not in text and secret not in json.dumps(found)


def test_a_401_has_the_address_and_no_key(keyed: tuple[LiveServer, str], caplog: pytest.LogCaptureFixture) -> None:
    server, _ = keyed
    with caplog.at_level(logging.INFO):
        server.client.get("/v1/models", headers={"authorization": "Bearer sk-wrong"})
        [line] = lines(caplog, 1)
    found = json.loads(JsonForm().format(line))
    assert (found["status"], found["code"], found["address"]) == (401, "invalid_api_key", "127.0.0.1")
    assert "client" not in found and "sk-wrong" not in TextForm().format(line)


def test_supervisors_are_not_logged_unless_they_are_refused(
    keyed: tuple[LiveServer, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, key = keyed
    with caplog.at_level(logging.INFO):
        for path in ("/health", "/ready", "/health/"):
            server.client.get(path)
        server.client.get("/metrics", headers={"authorization": f"Bearer {key}"})
        server.client.get("/metrics")
        [line] = lines(caplog, 1)
    assert "/metrics 401 refused" in line.getMessage()


@pytest.mark.parametrize("path", ["/%0aINFO%20forged", "/" + "a" * 3000, "/%1b[31mred", "/%e2%80%ae"])
def test_a_path_is_one_line_of_plain_characters(
    echo_server: LiveServer, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.INFO):
        echo_server.client.get(path)
        [line] = lines(caplog, 1)
    text = TextForm().format(line)
    assert text.isascii() and text.isprintable() and len(text) < 700


def entry(message: str, name: str = "uvicorn.error", **more: Any) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.WARNING, "file.py", 1, message, None, more.pop("exc_info", None))
    record.__dict__.update(more)
    return record


def test_libraries_lines_look_like_ours() -> None:
    text = TextForm().format(entry("Shutting down"))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}[+-]\d\d:\d\d WARNING edgevlm\.uvicorn\.error: Shutting down", text
    )
    assert json.loads(JsonForm().format(entry("Shutting down")))["logger"] == "edgevlm.uvicorn.error"
    assert " edgevlm_server.run: " in TextForm().format(entry("Ready", "edgevlm_server.run"))


def test_json_is_one_line_whatever_is_said() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        line = JsonForm().format(entry('a "word"\nand é \ud800', exc_info=(ValueError, error, error.__traceback__)))
    assert "\n" not in line and line.isascii()
    found = json.loads(line)
    assert found["message"].startswith('a "word"\nand é')
    assert found["exception"].startswith("Traceback") and found["exception"].endswith("ValueError: two\nlines")
    text = TextForm().format(entry("a", exc_info=(ValueError, ValueError("b"), None)))
    assert text.endswith("ValueError: b")
