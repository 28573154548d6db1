"""What the page makes of answers: how sure they are, that they stay, and the file of them."""

import csv
import io
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit

EXAMPLES = Path(__file__).parents[2] / "examples"
CANNOT = "I cannot see that in the image."


def answering(page: Page, text: str, *, tokens: int = 3, **end: Any) -> None:
    """From now on the server's answer is this one: a stand-in for a model that is as sure as it is here."""
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 0}}
    chunks = [
        {"choices": [{"delta": {"content": text}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "stop", **end}]},
        {"choices": [], "usage": usage},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"

    def fulfil(route: Route) -> None:
        route.fulfill(content_type="text/event-stream", body=body)

    page.unroute("**/v1/chat/completions")
    page.route("**/v1/chat/completions", fulfil)


def look(visitor: Visitor) -> tuple[float, int]:
    """Size and weight of the newest answer."""
    size, weight = visitor.page.locator(".turn .answer").first.evaluate(
        "answer => [getComputedStyle(answer).fontSize, getComputedStyle(answer).fontWeight]"
    )
    return float(size.removesuffix("px")), int(weight)


@pytest.mark.parametrize(
    ("confidence", "refused", "tokens", "words"),
    [
        (0.9987, None, 3, "Sure over 99 %"),
        (0.9, None, 3, "Sure 90 %"),
        (0.8999, None, 3, "Fairly sure 89 %"),
        (0.6, None, 3, "Fairly sure 60 %"),
        (0.5999, None, 3, "Doubtful: look for yourself 59 %"),
        (0.001, None, 3, "Doubtful: look for yourself under 1 %"),
        (0.97, "by_model", 12, "The model cannot tell"),
        # many words can be put in many ways
        (0.02, None, 40, ""),
        (None, None, 3, ""),
    ],
)
def test_only_what_is_sure_looks_like_a_reading(
    visitor: Visitor, confidence: float | None, refused: str | None, tokens: int, words: str
) -> None:
    visitor.choose(EXAMPLES / "gauge.jpg")
    answering(visitor.page, "0.0", tokens=tokens, confidence=confidence, refused=refused)
    assert visitor.ask("What does the gauge read?") == "0.0"
    assert visitor.verdict() == words
    reading = words.startswith(("Sure", "Fairly"))
    size, weight = look(visitor)
    assert (size >= 24, weight >= 600) == (reading, reading)
    bars = visitor.page.locator(".turn .verdict .bar > span")
    if words and not refused:
        assert float(bars.evaluate("part => parseFloat(part.style.width)")) == pytest.approx(100 * (confidence or 0))
    else:
        assert bars.count() == 0
    word = re.sub(r"( over| under)? \d+ %$", "", words)
    heard = visitor.page.locator("#say").inner_text()
    assert heard == (f"Answer: 0.0 ({word.lower()})" if word else "Answer: 0.0")


def test_the_demo_model_s_own_answers(visitor: Visitor, tmp_path: Path) -> None:
    visitor.choose(EXAMPLES / "gauge.jpg")
    assert visitor.ask("What does the gauge read?") == "3.0"
    assert re.fullmatch(r"(Sure|Fairly sure) .*%", visitor.verdict())
    visitor.choose(EXAMPLES / "wall.jpg")
    assert visitor.ask("What does the gauge read?") == CANNOT
    assert visitor.verdict() == "The model cannot tell"
    assert look(visitor)[0] < 20


def test_a_portrait_is_no_reading(visitor: Visitor) -> None:
    skimage = find_spec("skimage")
    assert skimage is not None and skimage.origin is not None
    visitor.choose(Path(skimage.origin).parent / "data/astronaut.png")
    assert visitor.ask("What does the gauge read?") == "I cannot see that in the image."
    assert visitor.verdict() == "The model cannot tell"


def test_answers_stay_when_another_picture_comes(visitor: Visitor) -> None:
    visitor.choose(EXAMPLES / "gauge.jpg")
    assert visitor.ask("What does the gauge read?") == "3.0"
    visitor.choose(EXAMPLES / "display.jpg")
    assert visitor.ask("What does the display read?") == "834.2"
    assert visitor.page.locator(".turn .answer").all_inner_texts() == ["834.2", "3.0"]
    thumbnails = visitor.page.locator(".turn .again")
    assert [thumbnails.nth(index).get_attribute("aria-label") for index in range(2)] == [
        "Show display.jpg again",
        "Show gauge.jpg again",
    ]
    sizes = "[...document.querySelectorAll('.again canvas')].map(one => one.width).join()"
    visitor.page.wait_for_function(f"() => {sizes} === '192,192'")
    thumbnails.nth(1).click()
    assert visitor.page.locator("#about").inner_text().startswith("gauge.jpg")
    assert visitor.page.get_by_label("Question", exact=True).input_value() == "What does the gauge read?"
    assert visitor.page.locator(".turn").count() == 2


def test_a_picture_that_the_browser_cannot_show_has_its_kind_in_place_of_a_small_one(
    visitor: Visitor, tmp_path: Path
) -> None:
    (tmp_path / "phone.heic").write_bytes(b"no picture at all")
    visitor.choose(tmp_path / "phone.heic")
    visitor.page.locator("#unseen").wait_for()
    visitor.ask("What is it?")
    assert visitor.page.locator(".turn .again").inner_text() == "HEIC"


def test_so_many_stay_and_no_more(visitor: Visitor) -> None:
    visitor.choose(EXAMPLES / "gauge.jpg")
    for number in range(102):
        answering(visitor.page, f"{number}", confidence=0.95, refused=None)
        visitor.page.get_by_label("Question", exact=True).fill(f"question {number}")
        visitor.page.get_by_role("button", name="Ask", exact=True).click()
        visitor.page.locator(".turn:not([aria-busy]) .answer", has_text=f"{number}").first.wait_for()
    shown = visitor.page.locator(".turn .answer").all_text_contents()
    assert shown == [f"{number}" for number in range(101, 1, -1)]
    visitor.page.get_by_role("button", name="Clear").click()
    assert visitor.page.locator(".turn").count() == 0
    assert not visitor.page.get_by_role("button", name="Clear").is_visible()
    visitor.focus("question")


def test_all_that_was_asked_can_be_saved_for_a_spreadsheet(visitor: Visitor) -> None:
    visitor.choose(EXAMPLES / "gauge.jpg")
    questions = ['Is it "so", or\nnot?', "=1+1", "-5 or so"]
    answers = [("-3.0", 0.95, None), ("=HYPERLINK(1)", 0.4, None), (CANNOT, 0.99, "by_model")]
    for question, (answer, confidence, refused) in zip(questions, answers, strict=True):
        answering(visitor.page, answer, confidence=confidence, refused=refused)
        visitor.ask(question)
    visitor.page.unroute("**/v1/chat/completions")
    visitor.page.context.set_offline(True)
    visitor.ask("Are you there?")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename.startswith("edgevlm-")
    text = download.value.path().read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["question"], row["answer"], row["confidence"], row["result"]) for row in rows] == [
        ('Is it "so", or\nnot?', "-3.0", "0.95", "sure"),
        ("'=1+1", "'=HYPERLINK(1)", "0.4", "doubtful"),
        ("'-5 or so", CANNOT, "0.99", "the model cannot tell"),
        ("Are you there?", "", "", "failed"),
    ]
    assert {(row["model"], row["picture"], row["crop"]) for row in rows} == {("edgevlm-demo", "gauge.jpg", "")}


def test_what_it_cost_is_folded_away(visitor: Visitor) -> None:
    visitor.choose(EXAMPLES / "gauge.jpg")
    visitor.ask("What does the gauge read?")
    assert not visitor.page.get_by_text("Prompt from cache").is_visible()
    visitor.page.get_by_text("Details", exact=True).click()
    assert visitor.page.get_by_text("Prompt from cache").is_visible()


def test_what_the_model_can_read_is_said(browser: Browser, demo: LiveServer, echo_server: LiveServer) -> None:
    [card] = demo.client.get("/v1/models").json()["data"]
    with visit(browser, demo) as visitor:
        visitor.state()
        assert card["description"]
        assert visitor.page.locator("#reads").inner_text() == f"What this model can read {card['description']}"
    with visit(browser, echo_server) as visitor:
        visitor.state()
        assert not visitor.page.locator("#reads").is_visible(), "its maker says nothing"
