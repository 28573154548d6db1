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


def main(path: Path) -> None:
    with LiveServer.on_bundle(find_bundle(None)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        screen = {"width": 1100, "height": 760}
        with visit(browser, server, viewport=screen, device_scale_factor=1.5, color_scheme="light") as visitor:
            visitor.state()
            visitor.page.get_by_role("button", name="A dial gauge").click()
            visitor.ask("Describe the image.")
            visitor.ask("What does the gauge read?")
            # neither a blinking cursor nor a button under the mouse
            visitor.page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
            visitor.page.mouse.move(0, 0)
            visitor.page.wait_for_timeout(300)
            path.parent.mkdir(exist_ok=True)
            visitor.page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
