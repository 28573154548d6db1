"""A device is drained, killed, replaced, or all are: every client gets a whole answer or sees an error."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.server.engines import until
from tests.site.clients import CUT_IN_SILENCE, WHOLE, Crowd, ask, question
from tests.site.conftest import Site

TOKENS = 200
CLIENTS, MOST = 6, 600


def expected(site: Site, picture: str) -> str:
    """The answer, which is the same from every device, alone or beside others."""
    first = ask(site.client, question(picture, TOKENS, stream=False))
    assert first.outcome == WHOLE, first
    return first.text


def test_a_drained_device_loses_no_request(site: Site, picture: str) -> None:
    text, drained = expected(site, picture), site.devices[1]
    with Crowd(site.client, picture, TOKENS, CLIENTS, MOST) as crowd:
        crowd.more()
        until(lambda: drained in site.busy(), "the device to be busy")
        drained.process.process.send_signal(signal.SIGTERM)
        assert drained.process.wait() == 0
        crowd.more()
    print(f"{len(crowd.results)} requests around a drain, none lost")
    for seen in crowd.results:
        assert (seen.outcome, seen.text) == (WHOLE, text)


def test_of_a_killed_device_only_what_it_had_begun_is_lost_and_clients_see_it(site: Site, picture: str) -> None:
    text, killed = expected(site, picture), site.devices[0]
    with Crowd(site.client, picture, TOKENS, CLIENTS, MOST) as crowd:
        crowd.more()
        until(lambda: killed in site.busy(), "the device to be busy")
        killed.process.process.kill()
        killed.process.wait()
        dead_since = time.monotonic()
        crowd.more()
    assert CUT_IN_SILENCE not in {seen.outcome for seen in crowd.results}
    assert {seen.text for seen in crowd.results if seen.outcome == WHOLE} == {text}
    lost = [seen for seen in crowd.results if seen.outcome != WHOLE]
    print(f"{len(crowd.results)} requests around a kill, {len(lost)} lost: {[seen.outcome for seen in lost]}")
    assert len(lost) <= CLIENTS
    for seen in lost:
        assert seen.started < dead_since, seen


def test_a_stream_that_is_cut_is_an_error_to_its_client(site: Site, picture: str) -> None:
    body = question(picture, TOKENS, stream=True)

    def cut() -> bool:
        """False if it was not, because it was whole before, or the proxy leaves the devices alone for a while."""
        with site.client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                return False
            lines = response.iter_lines()
            assert next(lines).startswith("data: ")
            for device in site.devices:
                device.process.process.kill()
            try:
                rest = list(lines)
            except httpx.RemoteProtocolError:
                return True
        assert "data: [DONE]" in rest, CUT_IN_SILENCE
        for device in site.devices:
            device.process.wait()
            device.replace()
        return False

    until(cut, "an answer to be cut")


def test_an_answer_of_which_nothing_has_been_sent_is_made_by_another_device(site: Site, picture: str) -> None:
    text, body = expected(site, picture), question(picture, TOKENS, stream=False)
    first = site.device(ask(site.client, body, "a key").request)
    [device] = [device for device in site.devices if device.host == first]
    device.process.process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, site.client, body, "a key")
        until(device.unread, "the request to be sent")
        device.process.process.kill()
    assert (asked.result().outcome, asked.result().text) == (WHOLE, text)
    line = site.logged(asked.result().request)
    assert f'"{device.host}, ' in line and line.endswith('"502, 200"')


def test_a_replaced_device_is_used_again(site: Site, picture: str) -> None:
    device = site.devices[2]
    device.process.process.kill()
    device.process.wait()
    body = question(picture, 1, stream=False)
    assert {ask(site.client, body).outcome for _ in range(12)} == {WHOLE}
    device.replace()
    until(lambda: ask(site.client, body).outcome == WHOLE and device.metric("edgevlm_prompt_tokens_total"), "work")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_without_any_device_the_error_has_the_known_shape(site: Site, picture: str, how: signal.Signals) -> None:
    for device in site.devices:
        device.process.process.send_signal(how)
        device.process.wait()
    for _ in range(3):
        reply = site.client.post("/v1/chat/completions", json=question(picture, 1, stream=False))
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no_device")
        assert reply.headers["retry-after"] == "5"
        assert reply.headers["x-request-id"]


def test_a_silent_device_is_an_error_and_its_request_is_not_started_elsewhere(hasty_site: Site, picture: str) -> None:
    for device in hasty_site.devices:
        device.process.process.send_signal(signal.SIGSTOP)
    reply = hasty_site.client.post("/v1/chat/completions", json=question(picture, 1, stream=False))
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "no_device")
    assert hasty_site.device(reply.headers["x-request-id"]) in {device.host for device in hasty_site.devices}
