"""The page on the demo model: pictures come in every way there is, answers are right, and what it shows is so."""

import base64
import json
import re
import subprocess
from pathlib import Path

import pytest
from edgevlm_server.images.formats.limits import FORMATS
from PIL import Image
from playwright.sync_api import Browser, Route

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TRANSFER = """async (base64) => {
  const content = await (await fetch('/page/gauge.jpg')).blob();
  window.transfer = new DataTransfer();
  window.transfer.items.add(new File([content], 'gauge.jpg', {type: 'image/jpeg'}));
}"""


def test_a_file_is_asked_about_and_then_comes_from_the_cache(visitor: Visitor) -> None:
    visitor.choose(EXAMPLES / "label.jpg")
    visitor.page.locator("#about", has_text="label.jpg, 24 KiB, 242 \u00d7 276").wait_for()
    assert visitor.ask("What is the serial number on the label?") == "61A530"
    first = visitor.figures()
    assert re.fullmatch(r"\d+ ms|\d+\.\d s", first["First token"])
    assert re.fullmatch(r"0 of \d+", first["Prompt from cache"])
    visitor.ask("Describe the image.")
    cached, prompt = map(int, visitor.figures()["Prompt from cache"].split(" of "))
    assert 144 <= cached < prompt
    assert visitor.page.locator(".turn .asked").all_inner_texts() == [
        "Describe the image.",
        "What is the serial number on the label?",
    ]
    share = visitor.page.locator(".turn .figures .bar > span").first.evaluate("part => part.style.width")
    assert float(share.removesuffix("%")) == pytest.approx(100 * cached / prompt, abs=0.01)


@pytest.mark.parametrize(
    ("name", "answer"), [("A dial gauge", "3.0"), ("A flange with bolts", "3"), ("A digital display", "834.2")]
)
def test_an_example_brings_its_question(visitor: Visitor, name: str, answer: str) -> None:
    visitor.page.get_by_role("button", name=name).click()
    visitor.page.wait_for_selector("#stage.filled")
    visitor.page.get_by_role("button", name="Ask", exact=True).click()
    visitor.page.locator(".turn").wait_for()
    assert visitor.answer() == answer


def test_of_two_examples_the_one_clicked_last_holds(visitor: Visitor) -> None:
    held: list[Route] = []
    visitor.page.route("**/page/gauge.jpg", lambda route: held.append(route))
    gauge, display = (
        visitor.page.locator(f"#examples button[data-file='{name}.jpg']") for name in ("gauge", "display")
    )
    with visitor.page.expect_request("**/page/gauge.jpg"):
        gauge.click()
    display.click()
    visitor.page.locator("#about", has_text="display.jpg").wait_for()
    with visitor.page.expect_response("**/page/gauge.jpg"):
        held[0].continue_()
    assert visitor.ask("What does the display read?") == "834.2"
    assert visitor.page.locator("#about").inner_text().startswith("display.jpg")


def test_a_picture_is_dropped(visitor: Visitor) -> None:
    visitor.page.evaluate(TRANSFER)
    for event in ("dragenter", "dragover"):
        visitor.page.evaluate(
            "(kind) => document.body.dispatchEvent("
            "new DragEvent(kind, {dataTransfer: window.transfer, bubbles: true, cancelable: true}))",
            event,
        )
    assert "over" in (visitor.page.locator("#stage").get_attribute("class") or "")
    visitor.page.evaluate(
        "document.querySelector('h1').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: window.transfer, bubbles: true, cancelable: true}))"
    )
    assert visitor.page.locator("#stage").get_attribute("class") == "filled"
    assert visitor.ask("What does the gauge read?") == "3.0"


def test_a_picture_is_pasted(visitor: Visitor) -> None:
    visitor.page.evaluate(TRANSFER)
    visitor.page.evaluate(
        "document.getElementById('question').dispatchEvent("
        "new ClipboardEvent('paste', {clipboardData: window.transfer, bubbles: true, cancelable: true}))"
    )
    visitor.page.wait_for_selector("#stage.filled")
    assert visitor.ask("What does the gauge read?") == "3.0"


def test_the_camera_gives_a_picture(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Camera").click()
    visitor.page.get_by_role("button", name="Take the picture").click()
    visitor.page.wait_for_selector("#stage.filled")
    visitor.page.wait_for_function("() => document.getElementById('preview').naturalWidth > 0")
    assert visitor.page.locator("#about").inner_text().startswith("camera.jpg, ")
    assert visitor.page.evaluate("document.getElementById('live').srcObject") is None, "the camera is still on"
    assert visitor.ask("Describe the image.")


def test_the_camera_is_closed_when_it_is_not_wanted(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Camera").click()
    visitor.page.get_by_role("button", name="Cancel").click()
    assert visitor.page.evaluate("document.getElementById('live').srcObject") is None
    visitor.focus("camera")
    assert visitor.page.locator("#empty").is_visible()


def test_a_camera_that_is_refused_is_said(browser: Browser, demo: LiveServer) -> None:
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('Permission denied'); };"
    with visit(browser, demo, script=refuse) as visitor:
        visitor.page.get_by_role("button", name="Camera").click()
        error = visitor.page.locator("#camera-error")
        error.wait_for()
        assert error.inner_text() == "The camera cannot be used: Permission denied"


def test_without_a_live_camera_the_device_is_asked_for_a_picture(browser: Browser, demo: LiveServer) -> None:
    """As over plain http from another machine, where browsers have no live camera for pages."""
    without = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined});"
    with visit(browser, demo, script=without) as visitor:
        with visitor.page.expect_file_chooser() as chooser:
            visitor.page.get_by_role("button", name="Camera").click()
        assert chooser.value.element.get_attribute("capture") == "environment"
        chooser.value.set_files(EXAMPLES / "gauge.jpg")
        assert visitor.ask("What does the gauge read?") == "3.0"


def test_a_refusal_is_shown_in_the_servers_words_and_the_page_goes_on(visitor: Visitor, demo: LiveServer) -> None:
    visitor.choose(ROOT / "LICENSE")
    visitor.page.locator("#unseen").wait_for()
    visitor.ask("What is it?")
    url = "data:;base64," + base64.b64encode((ROOT / "LICENSE").read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
    body = {"messages": [{"role": "user", "content": content}]}
    assert visitor.alert() == demo.client.post("/v1/chat/completions", json=body).json()["error"]["message"]
    visitor.choose(EXAMPLES / "gauge.jpg")
    assert visitor.ask("What does the gauge read?") == "3.0"


def test_a_picture_that_is_too_large_can_be_sent_smaller(visitor: Visitor, tmp_path: Path) -> None:
    """As those of new phones are: more bytes than a body may have, and more pixels than a picture."""
    gauge = Image.open(EXAMPLES / "gauge.jpg").resize((4116, 3612))
    noise = Image.effect_noise(gauge.size, 20).convert("RGB")
    Image.blend(gauge, noise, 0.1).save(tmp_path / "phone.photo.png", compress_level=1)
    visitor.choose(tmp_path / "phone.photo.png")
    visitor.ask("What does the gauge read?")
    assert visitor.alert() == "The body is larger than the limit of 10485760 bytes."
    visitor.page.get_by_role("button", name="Send a smaller copy").click()
    visitor.page.get_by_text("phone.photo-smaller.jpg, ").wait_for()
    assert visitor.answer() == "3.0"
    visitor.page.locator("#about", has_text="2048 \u00d7 1797").wait_for()


def test_the_chooser_takes_what_the_server_reads(visitor: Visitor) -> None:
    types = (visitor.page.locator("#file").get_attribute("accept") or "").split(",")
    known = {"image/heic" if name == "HEIF" else f"image/{name.lower()}" for name in FORMATS}
    assert known <= set(types)


def test_a_picture_that_only_the_browser_reads_is_sent_as_a_jpeg(visitor: Visitor, tmp_path: Path) -> None:
    """As a phone's HEIC on a server without its reader; here it is an icon, which Chromium shows."""
    Image.open(EXAMPLES / "gauge.jpg").resize((256, 224)).save(tmp_path / "gauge.ico", sizes=[(256, 224)])
    visitor.choose(tmp_path / "gauge.ico")
    visitor.page.wait_for_function("() => document.getElementById('preview').naturalWidth > 0")
    visitor.ask("What does the gauge read?")
    assert "Supported formats" in visitor.alert()
    visitor.page.get_by_role("button", name="Send a copy as JPEG").click()
    visitor.page.get_by_text("gauge-smaller.jpg, ").wait_for()
    assert visitor.answer() == "3.0"


def test_what_is_missing_is_said(visitor: Visitor) -> None:
    ask = visitor.page.get_by_role("button", name="Ask", exact=True)
    ask.click()
    assert visitor.page.locator("#missing").inner_text() == "Choose a picture first."
    visitor.focus("choose")
    visitor.choose(EXAMPLES / "gauge.jpg")
    ask.click()
    assert visitor.page.locator("#missing").inner_text() == "Type a question first."
    visitor.focus("question")
    assert visitor.ask("What does the gauge read?") == "3.0"
    assert visitor.page.locator("#missing").inner_text() == ""


@pytest.mark.parametrize("question", ["What does the gauge read?", "It's \"$HOME\" `id` \\n %s 100% ü\n'what'?"])
def test_the_curl_command_works_as_it_is_copied(
    browser: Browser, demo: LiveServer, tmp_path: Path, question: str
) -> None:
    picture = tmp_path / "it's a gauge.jpg"
    picture.write_bytes((EXAMPLES / "gauge.jpg").read_bytes())
    with visit(browser, demo, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        visitor.choose(picture)
        answer = visitor.ask(question)
        prompt = visitor.figures()["Prompt from cache"].split()[-1]
        visitor.page.get_by_text("The same with curl").click()
        visitor.page.get_by_role("button", name="Copy").click()
        visitor.page.get_by_text("Copied.").wait_for()
        command: str = visitor.page.evaluate("navigator.clipboard.readText()")
    for shell in ("sh", "bash"):
        result = subprocess.run([shell, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
        reply = json.loads(result.stdout)
        assert reply["choices"][0]["message"]["content"] == answer
        assert reply["usage"]["prompt_tokens"] == int(prompt)


def test_a_picture_without_a_file_can_be_saved_for_curl(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="A dial gauge").click()
    visitor.page.get_by_text("The same with curl").click()
    with visitor.page.expect_download() as download:
        visitor.page.locator("#save").click()
    assert download.value.suggested_filename == "gauge.jpg"
    assert download.value.path().read_bytes() == (EXAMPLES / "gauge.jpg").read_bytes()
