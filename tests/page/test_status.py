"""The page's status view: figures, device, last requests; it looks only while it is seen."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from edgevlm_server.device.device import Device
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings
from playwright.sync_api import Browser, Route

from tests.live import LiveServer
from tests.page.conftest import Visitor, visit
from tests.page.test_access import DESK, PHONE, TINY, violations
from tests.pictures import image_part, text_part, user
from tests.server.device.trees import ORIN_NANO, ORIN_NX, Files, machine
from tests.server.engines import SlowEngine

Bundles = Callable[[str], Path]


@pytest.fixture
def busy(bundles: Bundles, tmp_path: Path) -> Iterator[LiveServer]:
    """A server with a past, on an Orin Nano."""
    with machine(tmp_path, ORIN_NANO) as root, LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        server.service.device = Device(root)
        for seed in range(3):
            body = {"messages": user(image_part(), text_part(f"Question {seed}")), "max_tokens": 5}
            assert server.client.post("/v1/chat/completions", json=body).status_code == 200
        assert server.chat("x" * 40_000).status_code == 400
        assert server.client.post("/v1/nothing/with/a/long/path/" + "x" * 80).status_code == 404
        yield server


def look(visitor: Visitor) -> None:
    visitor.page.get_by_role("link", name="Status").click()
    visitor.page.locator(".gauge").first.wait_for()


def gauges(visitor: Visitor) -> dict[str, str]:
    """Values and hints by name."""
    found: dict[str, str] = visitor.page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.gauge')].map(one => [...one.querySelectorAll('dt, dd')])"
        ".map(([name, ...values]) => [name.textContent, values.map(value => value.textContent).join('; ')]))"
    )
    return found


def test_load_and_device_at_a_glance(browser: Browser, busy: LiveServer) -> None:
    with visit(browser, busy) as visitor:
        look(visitor)
        # sensors that took too long are left out, and asked again
        visitor.page.get_by_text("Temperature", exact=True).wait_for()
        found = gauges(visitor)
        rows = visitor.page.locator("#requests tbody tr").all_inner_texts()
        assert visitor.page.title() == "edgevlm: status"
    assert (found["Running"], found["Waiting"]) == ("0 of 8", "0 of 32")
    assert found["Temperature"] == "52.5 °C; gpu-thermal, slows down at 99 °C"
    assert found["Power"].startswith("12.6 W; ")
    assert found["GPU"] == "87 %"
    assert found["Memory"] == "4.4 of 7.4 GiB"
    assert found["Picture cache"].endswith(" of 64 MiB")
    assert "tokens/s" in found["Speed"]
    assert len(rows) == 5
    assert "no such path" in rows[0] and "404" in rows[0] and "not_found" in rows[0]
    assert "/v1/chat/completions" in rows[2] and "5 tokens" in rows[2] and "1 picture" in rows[2]
    assert not any("Question" in row for row in rows)


def test_what_is_too_hot_is_said(browser: Browser, bundles: Bundles, tmp_path: Path) -> None:
    with (
        machine(tmp_path, ORIN_NX) as root,
        LiveServer.on_bundle(bundles("v2"), engine="echo") as server,
        visit(browser, server) as visitor,
    ):
        server.service.device = Device(root)
        look(visitor)
        visitor.page.get_by_text("Temperature", exact=True).wait_for()
        assert gauges(visitor)["Temperature"] == "96.0 °C; cpu-thermal, slowed down now"


@pytest.mark.parametrize("files", [None, {}], ids=["no device", "a device that says nothing"])
def test_it_works_without_a_device(browser: Browser, bundles: Bundles, tmp_path: Path, files: Files | None) -> None:
    with (
        machine(tmp_path, files or {}) as root,
        LiveServer.on_bundle(bundles("v2"), engine="echo") as server,
        visit(browser, server) as visitor,
    ):
        server.service.device = None if files is None else Device(root)
        look(visitor)
        assert set(gauges(visitor)) == {
            *("Running", "Waiting", "Speed", "Requests in a minute", "Picture cache", "Prompt cache", "Up for"),
        }
        assert visitor.page.locator("#no-requests").is_visible()
        assert not visitor.page.locator("#requests").is_visible()


def test_it_has_an_address_and_goes_on_looking(browser: Browser, bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine) as server, visit(browser, server) as visitor:
        visitor.page.goto(f"{server.url}/#status")
        visitor.page.reload()
        visitor.page.get_by_text("0 of 2", exact=True).wait_for()
        with server.client.stream(
            "POST",
            "/v1/chat/completions",
            json={"messages": user(text_part()), "stream": True, "max_tokens": 500, "ignore_eos": True},
        ):
            visitor.page.get_by_text("1 of 2", exact=True).wait_for()
        visitor.page.get_by_text("1 left by the client").wait_for()
        visitor.page.go_back()
        visitor.page.locator("#question").wait_for()


def test_it_looks_only_while_it_is_seen(browser: Browser, bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server, visit(browser, server) as visitor:
        asked: list[str] = []
        visitor.page.on("request", lambda request: asked.append(request.url))
        visitor.state()
        visitor.page.clock.install()
        look(visitor)
        visitor.page.clock.run_for(10_000)
        count = f"{server.url}/status"
        assert asked.count(count) >= 2
        visitor.page.get_by_role("link", name="Ask").click()
        visitor.page.locator("#question").wait_for()
        before = asked.count(count)
        visitor.page.clock.run_for(10_000)
        assert asked.count(count) == before
        look(visitor)
        hide = "Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}});"
        visitor.page.evaluate(hide.format("true") + "document.dispatchEvent(new Event('visibilitychange'))")
        visitor.page.wait_for_timeout(200)
        before = asked.count(count)
        visitor.page.clock.run_for(10_000)
        assert asked.count(count) == before
        with visitor.page.expect_request(count):
            visitor.page.evaluate(hide.format("false") + "document.dispatchEvent(new Event('visibilitychange'))")


def test_a_server_that_is_gone_leaves_the_last_figures(browser: Browser, busy: LiveServer) -> None:
    with visit(browser, busy) as visitor:
        look(visitor)
        visitor.page.context.set_offline(True)
        visitor.page.locator("#stale").wait_for()
        assert visitor.page.locator("#stale").inner_text() == "The server cannot be reached."
        assert visitor.page.locator(".gauge").count() > 5
        visitor.page.context.set_offline(False)
        visitor.page.locator("#stale").wait_for(state="hidden")


def test_a_key_opens_it_and_clients_are_named(browser: Browser, bundles: Bundles, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "line-4")
    settings = Settings(engine="echo")
    with (
        LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys")) as server,
        visit(browser, server) as visitor,
    ):
        server.client.headers["authorization"] = f"Bearer {key}"
        assert server.chat("hello", max_tokens=1).status_code == 200
        visitor.page.goto(f"{server.url}/#status")
        visitor.state("locked")
        assert visitor.page.locator(".gauge").count() == 0
        visitor.page.get_by_label("API key").fill(key)
        visitor.page.keyboard.press("Enter")
        visitor.page.locator(".gauge").first.wait_for()
        visitor.page.get_by_text("line-4").wait_for()
        visitor.focus("status-title")
        assert not visitor.page.locator("#stale").is_visible()


def test_a_look_without_the_key_that_ends_late_does_not_lose_the_greeting_with_it(
    browser: Browser, bundles: Bundles, tmp_path: Path
) -> None:
    key = add_key(tmp_path / "keys", "line-4")
    settings = Settings(engine="echo")
    with (
        LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys")) as server,
        visit(browser, server) as visitor,
    ):
        looks: list[Route] = []
        visitor.page.route("**/status", lambda route: looks.append(route))
        visitor.page.goto(f"{server.url}/#status")
        visitor.state("locked")
        visitor.page.wait_for_function("() => document.title === 'edgevlm: status'")
        wait_for(visitor, looks, 1)
        greetings: list[Route] = []
        let_go = Event()

        def greeted(route: Route) -> None:
            if let_go.is_set():
                route.continue_()
            else:
                greetings.append(route)

        visitor.page.route("**/v1/models", greeted)
        visitor.page.get_by_label("API key").fill(key)
        visitor.page.keyboard.press("Enter")
        wait_for(visitor, greetings, 1)
        visitor.page.unroute("**/status")
        looks[0].continue_()
        wait_for(visitor, greetings, 2)
        let_go.set()
        for greeting in greetings:
            greeting.continue_()
        visitor.state()
        visitor.focus("status-title")
        assert visitor.page.get_by_label("API key").input_value() == ""


def wait_for(visitor: Visitor, requests: list[Route], count: int) -> None:
    """Until the page has sent that many; Playwright hears of them only while it waits."""
    for _ in range(600):
        if len(requests) >= count:
            return
        visitor.page.wait_for_timeout(100)
    raise AssertionError(f"{len(requests)} of {count} requests in a minute")


def test_it_works_behind_a_proxy_s_path(browser: Browser, bundles: Bundles) -> None:
    with (
        LiveServer.on_bundle(bundles("v2"), engine="echo", root_path="/edge") as server,
        visit(browser, server) as visitor,
    ):
        visitor.page.goto(f"{server.url}/edge/#status")
        with visitor.page.expect_request(f"{server.url}/edge/status"):
            pass
        visitor.page.locator(".gauge").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
def test_axe_finds_nothing(browser: Browser, busy: LiveServer, scheme: str, screen: dict[str, int]) -> None:
    with visit(browser, busy, color_scheme=scheme, viewport=screen, bypass_csp=True) as visitor:
        look(visitor)
        assert violations(visitor.page) == []
        visitor.page.context.set_offline(True)
        visitor.page.locator("#stale").wait_for()


@pytest.mark.parametrize("screen", [TINY, PHONE], ids=["tiny", "phone"])
def test_nothing_is_wider_than_a_phone(browser: Browser, busy: LiveServer, screen: dict[str, int]) -> None:
    with visit(browser, busy, viewport=screen, has_touch=True, is_mobile=True) as visitor:
        look(visitor)
        width = "[document.documentElement.scrollWidth, visualViewport.width]"
        assert visitor.page.evaluate(width) == [screen["width"]] * 2


def test_the_keyboard_is_enough(browser: Browser, busy: LiveServer) -> None:
    with visit(browser, busy) as visitor:
        visitor.state()
        for _ in range(3):
            visitor.page.keyboard.press("Tab")
        visitor.focus("to-status")
        visitor.page.keyboard.press("Enter")
        visitor.focus("status-title")
        for _ in range(3):
            visitor.page.keyboard.press("Shift+Tab")
        visitor.focus("to-questions")
        visitor.page.keyboard.press("Shift+Tab")
        visitor.page.keyboard.press("Enter")
        visitor.focus("question")
