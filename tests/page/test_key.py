"""The page of a server that needs a key: it says so, keeps the key in its tab alone, and sends it along."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings
from playwright.sync_api import Browser

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit

PICTURE = Path(__file__).parents[2] / "examples/gauge.jpg"
SENTENCE = "This server needs an API key: send the header 'Authorization: Bearer KEY'."


@pytest.fixture(scope="module")
def locked(
    bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveServer, str]]:
    """A server and its only key."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    key = add_key(file, "line-4")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(file)) as server:
        yield server, key


def give(visitor: Visitor, key: str) -> None:
    visitor.page.get_by_label("API key").fill(key)
    visitor.page.keyboard.press("Enter")


def test_a_key_opens_the_page(browser: Browser, locked: tuple[LiveServer, str]) -> None:
    server, key = locked
    with visit(browser, server) as visitor:
        visitor.state("locked")
        assert visitor.page.locator("#key-why").inner_text() == SENTENCE
        visitor.focus("key")
        give(visitor, "wrong")
        visitor.page.get_by_text("The key was not accepted.").wait_for()
        give(visitor, f" {key} ")
        visitor.state("ready")
        assert not visitor.page.locator("#key-form").is_visible()
        assert visitor.page.locator("#key").input_value() == ""
        visitor.choose(PICTURE)
        assert visitor.ask("What is it?").endswith("What is it? ASSISTANT:")


def test_it_stays_in_the_tab_and_can_be_forgotten(browser: Browser, locked: tuple[LiveServer, str]) -> None:
    server, key = locked
    with visit(browser, server) as visitor:
        give(visitor, key)
        visitor.state("ready")
        visitor.page.reload()
        visitor.state("ready")
        assert visitor.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        other = visitor.page.context.new_page()
        other.goto(server.url)
        other.wait_for_selector("#state[data-state=locked]")
        visitor.page.get_by_role("button", name="Forget the key").click()
        visitor.state("locked")
        assert visitor.page.evaluate("sessionStorage.length") == 0
        visitor.page.reload()
        visitor.state("locked")


def test_a_key_that_is_no_header_is_refused_before_it_is_sent(
    browser: Browser, locked: tuple[LiveServer, str]
) -> None:
    server, _ = locked
    with visit(browser, server) as visitor:
        visitor.state("locked")
        sent: list[str] = []
        visitor.page.on("request", lambda request: sent.append(request.url))
        give(visitor, "schlüssel zum tor")
        assert "one word" in visitor.page.locator("#key").evaluate("input => input.validationMessage")
        assert sent == []


def test_a_question_without_the_key_asks_for_it(browser: Browser, locked: tuple[LiveServer, str]) -> None:
    server, key = locked
    with visit(browser, server) as visitor:
        visitor.state("locked")
        visitor.choose(PICTURE)
        visitor.ask("What is it?")
        assert visitor.alert() == SENTENCE
        assert visitor.page.locator("#key-form").is_visible()
        give(visitor, key)
        visitor.state("ready")
        assert visitor.ask("What is it?").endswith("What is it? ASSISTANT:")


def test_the_curl_command_takes_the_key_from_a_variable(browser: Browser, locked: tuple[LiveServer, str]) -> None:
    server, key = locked
    with visit(browser, server) as visitor:
        give(visitor, key)
        visitor.state("ready")
        visitor.choose(PICTURE)
        command = visitor.page.locator("#command").text_content() or ""
        assert '-H "Authorization: Bearer $EDGEVLM_KEY"' in command
        assert key not in visitor.page.content()
