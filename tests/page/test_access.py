"""The page for everyone: keyboard alone, screen readers, small screens, both colour schemes."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "examples/gauge.jpg"
AXE = ROOT / "build/node/node_modules/axe-core/axe.min.js"
LONG = "x" * 300 + " what does it read? " + "long words and long questions " * 20
TINY, PHONE, DESK = {"width": 320, "height": 568}, {"width": 390, "height": 844}, {"width": 1280, "height": 800}


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its own best practices."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    return [f"{one['id']}: {node['html']}: {node['failureSummary']}" for one in found for node in one["nodes"]]


def fill(visitor: Visitor) -> None:
    """Everything on the screen: answers, an error, the command."""
    visitor.choose(PICTURE)
    visitor.ask("What does the gauge read?")
    visitor.ask(LONG)
    visitor.page.get_by_text("The same with curl").click()
    visitor.page.context.set_offline(True)
    visitor.ask("Are you there?")
    assert visitor.alert() == "The server cannot be reached."
    visitor.page.get_by_role("button", name="Mark a part").click()
    visitor.page.context.set_offline(False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
def test_axe_finds_nothing(browser: Browser, demo: LiveServer, scheme: str, screen: dict[str, int]) -> None:
    # axe writes a style of its own into the page, which the page's policy forbids
    with visit(browser, demo, color_scheme=scheme, viewport=screen, bypass_csp=True) as visitor:
        visitor.state()
        assert violations(visitor.page) == []
        fill(visitor)
        assert violations(visitor.page) == []


def test_the_schemes_differ(browser: Browser, demo: LiveServer) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with visit(browser, demo, color_scheme=scheme) as visitor:
            grounds.append(visitor.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(245, 244, 240)", "rgb(21, 25, 27)"]


@pytest.mark.parametrize("screen", [TINY, PHONE], ids=["tiny", "phone"])
def test_nothing_is_wider_than_a_phone(browser: Browser, demo: LiveServer, screen: dict[str, int]) -> None:
    with visit(browser, demo, viewport=screen, has_touch=True, is_mobile=True) as visitor:
        visitor.state()
        width = "[document.documentElement.scrollWidth, visualViewport.width]"
        assert visitor.page.evaluate(width) == [screen["width"]] * 2
        fill(visitor)
        assert visitor.page.evaluate(width) == [screen["width"]] * 2
        small = visitor.page.evaluate(
            "[...document.querySelectorAll('main button, main textarea')].filter(e => e.offsetParent)"
            ".map(e => e.getBoundingClientRect()).filter(r => r.width < 44 || r.height < 44).length"
        )
        assert small == 0, "a finger needs 44 pixels"


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    def tab(to: str, times: int = 1) -> None:
        for _ in range(times):
            visitor.page.keyboard.press("Tab")
        visitor.focus(to)

    visitor.page.keyboard.press("Tab")
    assert visitor.page.evaluate("document.activeElement.textContent") == "Skip to the question"
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Shift+Tab")
    visitor.focus("camera")
    visitor.page.keyboard.press("Shift+Tab")
    visitor.focus("choose")
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.keyboard.press("Enter")
    chooser.value.set_files(PICTURE)
    visitor.focus("question")
    visitor.page.keyboard.type("What does the gauge read?")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator(".turn").wait_for()
    assert visitor.answer() == "3.0"
    # what was asked is selected: typing replaces it
    visitor.page.keyboard.type("Describe the image.")
    tab("go")
    visitor.page.keyboard.press("Space")
    visitor.page.locator(".turn").nth(1).wait_for()
    assert visitor.answer() == "A dial gauge that reads 3.0."
    visitor.focus("question")
    tab("export", 2)
    visitor.page.get_by_text("The same with curl").focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("#command").wait_for()
    tab("save")
    tab("copy", 2)


def test_focus_can_be_seen(visitor: Visitor) -> None:
    for _ in range(8):
        visitor.page.keyboard.press("Tab")
        outline = "(e => getComputedStyle(e).outlineStyle + ' ' + getComputedStyle(e).outlineWidth)"
        assert visitor.page.evaluate(f"{outline}(document.activeElement)") == "solid 3px"


def test_a_screen_reader_hears_the_answer_once_it_is_whole(visitor: Visitor) -> None:
    visitor.page.evaluate("""() => {
      window.heard = [];
      const say = document.getElementById('say');
      new MutationObserver(() => window.heard.push(say.textContent)).observe(say, {childList: true});
    }""")
    visitor.choose(PICTURE)
    visitor.ask("Describe the image.")
    assert visitor.page.evaluate("heard") == [
        "The picture gauge.jpg is chosen.",
        "Asking.",
        "Answer: A dial gauge that reads 3.0. (sure)",
    ]
    assert visitor.page.locator("#say").get_attribute("role") == "status"
