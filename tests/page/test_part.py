"""Part of a picture on the page: drawn, moved and sized by pointer or keys, kept in the address, and sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Request

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit

EXAMPLES = Path(__file__).parents[2] / "examples"
Corners = tuple[float, float, float, float]


@pytest.fixture
def chosen(visitor: Visitor) -> Visitor:
    visitor.choose(EXAMPLES / "gauge.jpg")
    shaped(visitor)
    return visitor


def shaped(visitor: Visitor) -> None:
    """The frame has the picture's shape from its load event on, which comes behind its size."""
    shape = "document.getElementById('frame').style.getPropertyValue('--ratio')"
    visitor.page.wait_for_function(f"() => {shape} !== ''")


def point(visitor: Visitor, x: float, y: float) -> tuple[float, float]:
    """Where a place of the picture, in per cent, is on the screen."""
    box = visitor.page.locator("#frame").bounding_box()
    assert box
    return box["x"] + box["width"] * x / 100, box["y"] + box["height"] * y / 100


def drag(visitor: Visitor, start: tuple[float, float], end: tuple[float, float]) -> None:
    mouse = visitor.page.mouse
    mouse.move(*point(visitor, *start))
    mouse.down()
    mouse.move(*point(visitor, *end), steps=4)
    mouse.up()


def marked(visitor: Visitor) -> list[float] | None:
    """What the address says, which is what the screen shows."""
    crop: str | None = visitor.page.evaluate("new URLSearchParams(location.search).get('crop')")
    if crop is None:
        assert not visitor.page.locator("#part").is_visible()
        return None
    numbers = [float(number) for number in crop.removeprefix("pct:").split(",")]
    style = "(part => ['left', 'top', 'width', 'height'].map(side => parseFloat(part.style[side])))"
    assert visitor.page.locator("#part").evaluate(style) == numbers
    return numbers


@contextmanager
def sent(visitor: Visitor) -> Iterator[dict[str, Any]]:
    """The image part of the question that is asked within."""
    found: dict[str, Any] = {}

    def keep(request: Request) -> None:
        if request.url.endswith("/v1/chat/completions"):
            found.update(json.loads(request.post_data or "")["messages"][0]["content"][0])

    visitor.page.on("request", keep)
    yield found
    visitor.page.remove_listener("request", keep)


def test_a_rectangle_is_drawn_moved_sized_and_removed_with_a_mouse(chosen: Visitor) -> None:
    drag(chosen, (60, 70), (20, 10))
    assert marked(chosen) == pytest.approx([20, 10, 40, 60], abs=0.6)
    drag(chosen, (40, 40), (50, 45))
    assert marked(chosen) == pytest.approx([30, 15, 40, 60], abs=0.6)
    drag(chosen, (40, 40), (99, 40))
    assert marked(chosen) == pytest.approx([60, 15, 40, 60], abs=0.6), "it stays within the picture"
    drag(chosen, (60, 15), (70, 25))
    assert marked(chosen) == pytest.approx([70, 25, 30, 50], abs=1.2), "by a corner"
    drag(chosen, (5, 5), (5.5, 5.5))
    assert marked(chosen) == pytest.approx([70, 25, 30, 50], abs=1.2), "a click is no rectangle"
    chosen.page.get_by_role("button", name="Whole picture").click()
    assert marked(chosen) is None
    chosen.focus("mark")


def test_a_rectangle_is_moved_sized_and_removed_with_keys(chosen: Visitor) -> None:
    chosen.page.get_by_role("button", name="Mark a part").press("Enter")
    chosen.focus("part")
    assert marked(chosen) == [25, 25, 50, 50]
    press = chosen.page.keyboard.press
    press("ArrowRight")
    press("ArrowDown")
    press("ArrowDown")
    assert marked(chosen) == [26, 27, 50, 50]
    press("Shift+ArrowLeft")
    press("Shift+ArrowDown")
    assert marked(chosen) == [26, 27, 49, 51]
    name = "Marked part: 26 % from the left, 27 % from the top, 49 % wide, 51 % high"
    assert chosen.page.locator("#part").get_attribute("aria-label") == name
    assert chosen.page.locator("#say").inner_text() == name.replace("Marked part", "Marked") + "."
    for _ in range(60):
        press("ArrowUp")
        press("Shift+ArrowLeft")
    assert marked(chosen) == [26, 0, 2, 51], "neither out of the picture nor to nothing"
    press("Delete")
    assert marked(chosen) is None
    chosen.focus("mark")


def test_a_finger_scrolls_until_a_part_is_marked_and_then_draws(browser: Browser, demo: LiveServer) -> None:
    screen = {"width": 390, "height": 844}
    with visit(browser, demo, viewport=screen, has_touch=True, is_mobile=True) as visitor:
        visitor.state()
        visitor.choose(EXAMPLES / "gauge.jpg")
        shaped(visitor)
        swipe(visitor, (20, 20), (60, 60))
        assert marked(visitor) is None
        visitor.page.get_by_role("button", name="Mark a part").click()
        assert marked(visitor) == [25, 25, 50, 50]
        visitor.page.evaluate("scrollTo(0, 0)")
        swipe(visitor, (75, 75), (90, 85))
        assert marked(visitor) == pytest.approx([25, 25, 65, 60], abs=1)
        swipe(visitor, (5, 5), (20, 20))
        assert marked(visitor) == pytest.approx([5, 5, 15, 15], abs=1)


def swipe(visitor: Visitor, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A finger, as the browser's own protocol has it: Playwright's touches only tap."""
    session = visitor.page.context.new_cdp_session(visitor.page)
    steps = [tuple(a + (b - a) * step / 5 for a, b in zip(start, end, strict=True)) for step in range(6)]
    for step, (x, y) in enumerate(steps):
        at_x, at_y = point(visitor, x, y)
        kind = "touchMove" if step else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at_x, "y": at_y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_it_is_kept_in_the_address_and_sent(visitor: Visitor, tmp_path: Path) -> None:
    """A display in the corner of a large picture, as a camera that stands still sees it."""
    wide = Image.new("RGB", (1600, 1200), "#40484a")
    wide.paste(Image.open(EXAMPLES / "display.jpg"), (1200, 120))
    wide.save(tmp_path / "camera.jpg", quality=95)
    crop = "pct:75,10,16.7,20.5"
    visitor.page.goto(f"{visitor.url}/?crop={crop}")
    visitor.state()
    visitor.choose(tmp_path / "camera.jpg")
    visitor.page.locator("#part").wait_for()
    with sent(visitor) as part:
        assert visitor.ask("What does the display read?") == "834.2"
    assert (part["crop"], "rotate" in part) == (crop, False)
    visitor.page.get_by_role("link", name="Status").click()
    visitor.page.get_by_role("link", name="Ask").click()
    visitor.page.wait_for_url(f"{visitor.url}/?crop={crop}#")
    part_alone = "(c => c.width === 192 && c.height === 177)(document.querySelector('.again canvas'))"
    visitor.page.wait_for_function(f"() => {part_alone}")
    command = visitor.page.locator("#command").text_content() or ""
    assert f'"crop":"{crop}"' in command


def test_a_picture_on_its_side_is_turned(visitor: Visitor, tmp_path: Path) -> None:
    Image.open(EXAMPLES / "display.jpg").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "side.png")
    visitor.choose(tmp_path / "side.png")
    visitor.page.get_by_role("button", name="Turn right").click()
    assert visitor.page.locator("#seen-words").inner_text() == "Asked about: turned by 90°"
    assert visitor.page.url.endswith("/?rotate=90")
    with sent(visitor) as part:
        assert visitor.ask("What does the display read?") == "834.2"
    assert part["rotate"] == "90"
    for _ in range(3):
        visitor.page.get_by_role("button", name="Turn right").click()
    assert not visitor.page.locator("#seen").is_visible()
    assert visitor.page.url.endswith("/")


@pytest.mark.parametrize(
    "address",
    ["crop=", "crop=1,2,3,4", "crop=pct:1,2,3", "crop=pct:0,0,0,50", "crop=pct:a,0,1,5", "rotate=45", "rotate=x"],
)
def test_an_address_that_says_nothing_sensible_marks_nothing(visitor: Visitor, address: str) -> None:
    visitor.page.goto(f"{visitor.url}/?{address}")
    visitor.state()
    visitor.choose(EXAMPLES / "gauge.jpg")
    assert not visitor.page.locator("#part").is_visible()
    assert not visitor.page.locator("#seen").is_visible()


def test_an_example_is_asked_about_whole(visitor: Visitor) -> None:
    visitor.page.goto(f"{visitor.url}/?crop=pct:0,0,10,10&other=1")
    visitor.page.get_by_role("button", name="A dial gauge").click()
    visitor.page.wait_for_selector("#stage.filled")
    assert visitor.page.url.endswith("/?other=1")
    assert visitor.ask("What does the gauge read?") == "3.0"


def test_a_part_of_a_picture_that_cannot_be_shown_is_said_and_can_be_let_go(visitor: Visitor, tmp_path: Path) -> None:
    (tmp_path / "phone.heic").write_bytes(b"no picture at all")
    visitor.page.goto(f"{visitor.url}/?crop=pct:0,0,10,10")
    visitor.choose(tmp_path / "phone.heic")
    visitor.page.locator("#unseen").wait_for()
    assert visitor.page.locator("#seen-words").inner_text() == "Asked about: the marked part"
    visitor.page.get_by_role("button", name="Whole picture").click()
    assert not visitor.page.locator("#seen").is_visible()
