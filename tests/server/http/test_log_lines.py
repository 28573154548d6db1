"""The log line of a request: one line of plain characters, whatever a client sent."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.server.engines import until


def line_of(server: LiveServer, path: str, word: str, caplog: pytest.LogCaptureFixture) -> str:
    """Ask for a path that is not there; the only line of this program's own with the word."""

    def found() -> list[str]:
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("edgevlm")]
        return [text for text in ours if word in text]

    with caplog.at_level(logging.INFO):
        assert server.client.get(path).status_code == 404
        until(found, "the log line")
    [line] = found()
    return line


@pytest.mark.parametrize("sent", ["%0aforged", "%0d%0aforged", "%1b[31mforged", "%e2%80%a8forged", "%00forged"])
def test_a_path_forges_no_line_in_the_log(
    echo_server: LiveServer, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = line_of(echo_server, f"/nowhere/{sent}", "forged", caplog)
    assert line.isascii() and line.isprintable(), line


def test_a_long_path_makes_no_long_line(echo_server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    assert len(line_of(echo_server, f"/nowhere/{'long' * 2000}", "nowhere", caplog)) < 500


def test_a_wish_for_another_protocol_is_no_news(echo_server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    """curl --http2 sends one with each request."""
    upgrade = {"connection": "upgrade", "upgrade": "h2c"}
    assert echo_server.client.get("/health", headers=upgrade).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.slow
def test_what_a_proxy_calls_an_address_is_one_short_word(
    bundles: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO),
        LiveServer.on_bundle(bundles("v2"), engine="echo", trusted_proxies=("127.0.0.1",)) as server,
    ):
        server.client.get("/nowhere/else", headers={"x-forwarded-for": "forged" + "x" * 5000})
        until(lambda: "/nowhere/else" in caplog.text, "the log line")
    [fields] = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert fields["address"] == "forged" + "x" * 114
