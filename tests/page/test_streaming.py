"""The page on slow, failing and busy engines: answers as they grow, stopping, and errors in the server's words."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit
from tests.server.engines import FailingEngine, SlowEngine, until

Bundles = Callable[[str], Path]
PICTURE = Path(__file__).parents[2] / "examples/gauge.jpg"


@contextmanager
def on_engine(
    browser: Browser, bundle: Path, engine: SlowEngine, max_queue: int = 4
) -> Iterator[tuple[Visitor, LiveServer]]:
    with (
        LiveServer.on_engine(bundle, engine, max_queue=max_queue) as server,
        visit(browser, server) as visitor,
    ):
        visitor.state()
        visitor.choose(PICTURE)
        visitor.page.get_by_label("Question", exact=True).fill("What does the gauge read, to half a step?")
        yield visitor, server


def some_text(visitor: Visitor) -> str:
    """The answer so far, which is not whole."""
    visitor.page.wait_for_selector(".turn[aria-busy=true] .answer:not(:empty)")
    return visitor.page.locator(".turn .answer").inner_text()


def test_the_answer_grows_as_it_is_made(browser: Browser, bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.5)
    with on_engine(browser, bundles("v2"), engine) as (visitor, _):
        visitor.page.get_by_label("Question", exact=True).press("Enter")
        begun = some_text(visitor)
        visitor.page.wait_for_function("(begun) => document.querySelector('.answer').textContent > begun", arg=begun)
        assert some_text(visitor).startswith(begun), "it is not whole yet"
        engine.seconds = 0.1
        assert visitor.answer().endswith("to half a step? ASSISTANT:")
        figures = visitor.figures()
        rate, unit = figures["Speed"].split()
        assert unit == "tokens/s"
        # the browser may have seen the first piece late
        assert 1 < float(rate) < 2 / 0.1, "an engine that takes 100 ms a token cannot be faster"
        assert visitor.page.locator("#say").inner_text().startswith("Answer: ")


@pytest.mark.parametrize("way", ["button", "escape"])
def test_an_answer_is_stopped_and_the_server_stops_too(browser: Browser, bundles: Bundles, way: str) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.5)
    with on_engine(browser, bundles("v2"), engine) as (visitor, server):
        visitor.page.get_by_role("button", name="Ask", exact=True).click()
        some_text(visitor)
        visitor.focus("stop")
        if way == "button":
            visitor.page.keyboard.press("Enter")
        else:
            visitor.page.keyboard.press("Escape")
        visitor.page.wait_for_selector("#stop", state="hidden")
        until(lambda: server.metrics()["edgevlm_requests_cancelled_total"] == 1, "the server to stop")
        visitor.focus("question")
        assert visitor.verdict() == "Stopped"
        assert visitor.page.locator(".turn .answer").inner_text(), "what had come stays"
        engine.seconds = 0
        assert visitor.ask("And now?").endswith("And now? ASSISTANT:")


def test_a_question_that_waits_can_be_stopped(browser: Browser, bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.gate.clear()
    with on_engine(browser, bundles("v2"), engine) as (visitor, server):
        visitor.page.get_by_role("button", name="Ask", exact=True).click()
        until(lambda: server.metrics()["edgevlm_requests_accepted_total"] == 1, "the question to be accepted")
        visitor.page.get_by_role("button", name="Stop").click()
        visitor.page.wait_for_selector("#stop", state="hidden")
        # the browser closes the connection when it comes to it: the answer must not be whole before
        engine.seconds = 1
        engine.gate.set()
        until(lambda: server.metrics()["edgevlm_requests_cancelled_total"] == 1, "the server to let go of it")
        engine.seconds = 0
        assert visitor.ask("And now?").endswith("And now? ASSISTANT:")


def test_an_engine_that_dies_within_an_answer(browser: Browser, bundles: Bundles) -> None:
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=20)
    with on_engine(browser, bundles("v2"), engine) as (visitor, _):
        visitor.page.get_by_label("Question", exact=True).press("Enter")
        assert visitor.alert() == "The engine is not running; the server will restart."
        assert visitor.page.locator(".turn .answer").inner_text(), "what had come stays"
        assert visitor.page.locator("[aria-busy]").count() == 0


def test_a_full_queue(browser: Browser, bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.gate.clear()
    with (
        ThreadPoolExecutor(1) as pool,
        on_engine(browser, bundles("v2"), engine, max_queue=0) as (visitor, server),
    ):
        other = pool.submit(server.chat, "hold the only place")
        until(lambda: server.service.admission.inside == 1, "the place to be taken")
        visitor.page.get_by_label("Question", exact=True).press("Enter")
        assert visitor.alert() == "The server is busy and its queue is full; try again in 1 s."
        engine.gate.set()
        assert other.result().status_code == 200
        assert visitor.ask("And now?").endswith("And now? ASSISTANT:")


def test_a_server_that_is_gone(browser: Browser, bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    with on_engine(browser, bundles("v2"), engine) as (visitor, _):
        visitor.page.context.set_offline(True)
        visitor.page.get_by_label("Question", exact=True).press("Enter")
        assert visitor.alert() == "The server cannot be reached."
        visitor.page.context.set_offline(False)
        assert visitor.ask("And now?").endswith("And now? ASSISTANT:")


def test_a_server_that_goes_and_comes_back_is_noticed_without_a_question(browser: Browser, bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    with on_engine(browser, bundles("v2"), engine) as (visitor, _):
        answer = visitor.ask("Are you there?")
        gone = visitor.page.locator("#gone")
        assert not gone.is_visible()
        visitor.page.context.set_offline(True)
        gone.wait_for()
        assert gone.inner_text() == "The server cannot be reached. This page keeps trying; what is here stays."
        visitor.state("gone")
        visitor.page.context.set_offline(False)
        gone.wait_for(state="hidden")
        visitor.state("ready")
        assert visitor.page.locator("#say").inner_text() == "The server is back."
        assert visitor.page.locator(".turn .answer").all_inner_texts() == [answer]


def test_an_answer_goes_on_when_another_picture_comes(browser: Browser, bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.5)
    with on_engine(browser, bundles("v2"), engine) as (visitor, _):
        visitor.page.get_by_role("button", name="Ask", exact=True).click()
        some_text(visitor)
        visitor.choose(PICTURE.with_name("label.jpg"))
        engine.seconds = 0.1
        assert visitor.answer().endswith("to half a step? ASSISTANT:")
        assert visitor.page.locator("#about").inner_text().startswith("label.jpg")


def test_the_page_waits_for_a_server_that_loads(browser: Browser, bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        server.loop.call_soon_threadsafe(server.service._enter, "loading")
        until(lambda: server.client.get("/ready").status_code == 503, "the server to say that it loads")
        with visit(browser, server) as visitor:
            visitor.state("waiting")
            assert visitor.page.locator("#state").inner_text() == "The model is loading; try again soon."
            server.loop.call_soon_threadsafe(server.service._enter, "ready")
            visitor.state("ready")
            assert visitor.page.locator("#state").inner_text() == "v2"


def test_events_are_read_however_they_are_cut(browser: Browser, echo_server: LiveServer) -> None:
    """At every byte, with both line ends, within a letter of several bytes too."""
    stream = (
        ': ping\r\n\r\ndata: {"a":"ü"}\r\n\r\ndata:b\n\nevent: x\ndata: c\ndata: d\n\ndata: [DONE]\n\ndata: cut off'
    )
    script = """async (stream) => {
      const { events } = await import('/page/sse.js');
      const bytes = new TextEncoder().encode(stream);
      const read = [];
      for (let cut = 0; cut <= bytes.length; cut++) {
        const body = new ReadableStream({ start(controller) {
          controller.enqueue(bytes.slice(0, cut));
          controller.enqueue(bytes.slice(cut));
          controller.close();
        }});
        const found = [];
        for await (const data of events(body)) found.push(data);
        read.push(found);
      }
      return read;
    }"""
    with visit(browser, echo_server) as visitor:
        for found in visitor.page.evaluate(script, stream):
            assert found == ['{"a":"ü"}', "b", "c\nd", "[DONE]"]
