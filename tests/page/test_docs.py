"""The API's page in a browser: it looks like the page, shows real pictures, and what is tried there is answered."""

from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings
from playwright.sync_api import Browser, Locator

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit
from tests.page.test_access import DESK, PHONE, TINY, violations

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def reader(visitor: Visitor) -> Visitor:
    """Somebody who comes from the page."""
    visitor.page.get_by_role("link", name="API").click()
    visitor.page.locator(".route").first.wait_for()
    return visitor


def opened(visitor: Visitor, path: str, method: str = "POST") -> Locator:
    exact = visitor.page.locator("summary > code", has_text=path).filter(has_text=path)
    routes = visitor.page.locator(".route").filter(has=exact).filter(has=visitor.page.get_by_text(method, exact=True))
    route = next(one for one in routes.all() if one.locator("summary > code").first.inner_text() == path)
    route.locator("summary").first.click()
    return route


def sent(route: Locator) -> str:
    """What comes back."""
    route.get_by_role("button", name="Send").click()
    route.locator("button:has-text('Send'):enabled").wait_for()
    return route.locator(".try > pre").inner_text()


def test_the_look_is_the_page_s_and_a_link_leads_back(reader: Visitor) -> None:
    style = "(getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).fontFamily)"
    here = reader.page.evaluate(style)
    reader.page.get_by_role("link", name="Ask").click()
    reader.page.locator("#question").wait_for()
    reader.state()  # its script runs behind its stylesheets
    assert reader.page.evaluate(style) == here


@pytest.mark.parametrize(
    ("path", "example", "answer"),
    [
        ("/v1/chat/completions", "a picture and a question", '"content": "amber"'),
        ("/v1/chat/completions", "a picture to ask about again", '"content": "3"'),
        ("/v1/responses", "a picture and a question", '"text": "3.0"'),
        ("/v1/decisions", "yes or no, about a picture", '"probability": '),
        ("/v1/readings", "a number and a choice", '"pressure": 3,'),
        ("/v1/readings", "as a form with files", '"pressure": 3'),
        ("/ask", "as a form with files", "3.0"),
    ],
)
def test_examples_are_answered_rightly(reader: Visitor, path: str, example: str, answer: str) -> None:
    route = opened(reader, path)
    route.get_by_label("Example").select_option(example)
    picture = route.locator(".picture img")
    picture.wait_for()
    reader.page.wait_for_function("picture => picture.naturalWidth > 100", arg=picture.element_handle())
    assert "base64" not in route.inner_html(), "a body can be read"
    came = sent(route)
    assert came.startswith("200, ")
    assert answer in came


def test_a_picture_of_one_s_own_takes_an_example_s_place(reader: Visitor) -> None:
    for path, answer in (("/v1/responses", '"text": "3.7"'), ("/ask", "3.7")):
        route = opened(reader, path)
        route.get_by_label("Example").select_option(index=1 if path == "/v1/responses" else 0)
        with reader.page.expect_file_chooser() as chooser:
            route.get_by_role("button", name="file").click()
        chooser.value.set_files(EXAMPLES / "panel.jpg")
        if path == "/ask":
            route.get_by_label("question").fill("What does the display read?")
        else:
            body = route.get_by_label("Body")
            body.fill(body.input_value().replace("What does the gauge read?", "What does the display read?"))
        assert answer in sent(route)


def test_a_route_without_a_body_is_tried(reader: Visitor) -> None:
    assert '"status": "ready"' in sent(opened(reader, "/ready", "GET"))
    assert "edgevlm_build_info" in sent(opened(reader, "/metrics", "GET"))


def test_a_refusal_is_shown_as_it_comes(reader: Visitor) -> None:
    route = opened(reader, "/v1/chat/completions")
    route.get_by_label("Body").fill("{")
    came = sent(route)
    assert came.startswith("400, ") and '"error"' in came


def test_it_asks_for_a_key_once(browser: Browser, bundles: Callable[[str], Path], tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "line-4")
    settings = Settings(engine="echo")
    with (
        LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys")) as server,
        visit(browser, server) as visitor,
    ):
        visitor.page.goto(f"{server.url}/docs")
        visitor.state("locked")
        visitor.page.get_by_label("API key").fill(key)
        visitor.page.keyboard.press("Enter")
        visitor.state("ready")
        assert sent(opened(visitor, "/v1/models", "GET")).startswith("200, ")
        visitor.page.goto(server.url)
        visitor.state("ready")


def test_without_the_page_nothing_leads_there(browser: Browser, bundles: Callable[[str], Path]) -> None:
    with (
        LiveServer.on_bundle(bundles("v2"), engine="echo", no_page=True) as server,
        visit(browser, server) as visitor,
    ):
        with visitor.page.expect_response(f"{server.url}/"):
            visitor.page.goto(f"{server.url}/docs")
        visitor.state("ready")
        assert visitor.page.get_by_role("link").all_inner_texts() == ["API", "openapi.json"]


def test_it_works_behind_a_proxy_s_path(browser: Browser, bundles: Callable[[str], Path]) -> None:
    with (
        LiveServer.on_bundle(bundles("v2"), engine="echo", root_path="/edge") as server,
        visit(browser, server) as visitor,
    ):
        visitor.page.goto(f"{server.url}/edge/docs")
        visitor.state("ready")
        assert sent(opened(visitor, "/v1/models", "GET")).startswith("200, ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [TINY, PHONE, DESK], ids=["tiny", "phone", "desk"])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    browser: Browser, demo: LiveServer, scheme: str, screen: dict[str, int]
) -> None:
    with visit(browser, demo, color_scheme=scheme, viewport=screen, bypass_csp=True) as visitor:
        visitor.page.goto(f"{demo.url}/docs")
        visitor.state("ready")
        for path in ("/v1/chat/completions", "/ask"):
            route = opened(visitor, path)
            sent(route)
            for summary in route.locator(".content > details > summary").all():
                summary.click()
        assert violations(visitor.page) == []
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == screen["width"]
