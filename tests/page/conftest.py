"""A headless Chromium for the page's tests, and what holds in each: no error, and no word with another host."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.live import LiveServer

FLAGS = [
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module: while it runs, its event loop belongs to this thread."""
    chromium = shutil.which("chromium")
    assert chromium, "the page's tests need Chromium: tests/install_tools installs it"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=120_000)
        yield made
        made.close()


class Visitor:
    """Somebody with the page open."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def state(self, state: str = "ready") -> None:
        self.page.wait_for_selector(f"#state[data-state={state}]")

    def choose(self, *files: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose a file").click()
        chooser.value.set_files(list(files))
        self.page.wait_for_selector("#stage.filled")

    def ask(self, question: str) -> str:
        """The answer once it is whole; it stands first."""
        before = self.page.locator(".turn").count()
        self.page.get_by_label("Question", exact=True).fill(question)
        self.page.get_by_role("button", name="Ask", exact=True).click()
        self.page.locator(".turn").nth(before).wait_for()
        return self.answer()

    def answer(self) -> str:
        self.page.locator(".turn:first-child:not([aria-busy])").wait_for()
        return self.page.locator(".turn .answer").first.inner_text()

    def verdict(self) -> str:
        """How sure the newest answer is, as the page puts it; "" if it says nothing of that."""
        shown = self.page.locator(".turn .verdict").first
        return shown.inner_text().replace("\n", " ") if shown.is_visible() else ""

    def figures(self) -> dict[str, str]:
        """What the details of the newest answer hold, folded or not."""
        turn = self.page.locator(".turn").first
        return dict(zip(turn.locator("dt").all_text_contents(), turn.locator("dd").all_text_contents(), strict=True))

    def alert(self) -> str:
        """The error of the newest question."""
        return self.page.locator(".turn [role=alert]").first.inner_text()

    def focus(self, element: str) -> None:
        """Wait until the element of that id has it."""
        self.page.wait_for_function("id => document.activeElement.id === id", arg=element)


@contextmanager
def visit(browser: Browser, server: LiveServer, *, script: str = "", **options: Any) -> Iterator[Visitor]:
    """Open the page in a context of its own; `script` runs before the page's own."""
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.extend(_complaint(message)))
        page.on("request", lambda request: troubles.extend(_elsewhere(request.url, server.url)))
        # from the start: a chooser that opens while interception is being switched on is never heard of
        page.on("filechooser", lambda chooser: None)
        if script:
            page.add_init_script(script)
        page.goto(server.url)
        yield Visitor(page, server.url)
        assert not troubles


def _complaint(message: ConsoleMessage) -> list[str]:
    """What the browser complains of, the content security policy's violations among it."""
    # of each answer that is an error, which tests provoke; what the page shows of it is what they look at
    expected = message.text.startswith("Failed to load resource")
    return [message.text] if message.type in ("error", "warning") and not expected else []


def _elsewhere(url: str, own: str) -> list[str]:
    return [] if url.startswith((f"{own}/", f"blob:{own}/")) else [url]


@pytest.fixture
def visitor(browser: Browser, demo: LiveServer) -> Iterator[Visitor]:
    """On the demo model, at a desk."""
    with visit(browser, demo) as made:
        made.state()
        yield made
