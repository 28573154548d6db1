"""Writes the picture of the page that the README shows: `python -m tests.page.screenshot docs/page.png`.

The figures in it are of the machine that it runs on. Inter (Debian: fonts-inter) is the font where it is installed.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from edgevlm.demo_bundle import find_bundle
from tests.live import LiveServer
from tests.page.conftest import FLAGS, visit

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTIONS = (
    ("wall.jpg", "What does the gauge read?"),
    ("display.jpg", "What does the display read?"),
    ("gauge.jpg", "What does the gauge read?"),
)


def main(path: Path) -> None:
    with LiveServer.on_bundle(find_bundle(None)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        screen = {"width": 1100, "height": 1020}
        with visit(browser, server, viewport=screen, device_scale_factor=1.5, color_scheme="light") as visitor:
            visitor.state()
            for name, question in QUESTIONS:
                visitor.choose(EXAMPLES / name)
                visitor.ask(question)
            # neither a blinking cursor nor a button under the mouse
            visitor.page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
            visitor.page.mouse.move(0, 0)
            visitor.page.wait_for_timeout(300)
            path.parent.mkdir(exist_ok=True)
            visitor.page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
