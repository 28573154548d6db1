"""Pictures from addresses, by real servers on this machine: what a host may do, and no way around the list."""

import asyncio
import socket
import threading
import time
from dataclasses import replace

import pytest
from edgevlm_server.images.fetch import AT_ONCE, AT_ONE_HOST, ImageFetcher
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.hosts import ImageHosts
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.images.fetching import LIMITS, PNG, fetch, refusal
from tests.server.images.picture_hosts import (
    Behaviour,
    PictureHost,
    answers,
    no_resolver,
    redirects,
    repeats,
    says,
    then_waits,
)

OK = b"HTTP/1.1 200 OK\r\n"


def fetched_from(behaviour: Behaviour, limits: ImageLimits = LIMITS) -> bytes:
    with PictureHost(behaviour) as host:
        return fetch(host.url(), f"127.0.0.1:{host.port}", limits=limits)


def refused_from(behaviour: Behaviour, limits: ImageLimits = LIMITS) -> str:
    with PictureHost(behaviour) as host:
        return refusal(host.url(), f"127.0.0.1:{host.port}", limits=limits).code


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(PNG),
        answers(PNG, content_type="text/html"),
        answers(PNG, head=b"HTTP/1.0 200 OK\r\n"),
        says(OK + b"\r\n" + PNG),
        says(b"HTTP/1.0 200 OK\r\n\r\n" + PNG),
        says(OK + b"transfer-encoding: chunked\r\n\r\n" + chunks(PNG[:7], PNG[7:])),
        says(OK + b"content-encoding: identity\r\n\r\n" + PNG),
        says(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"\r\n" + PNG),
    ],
    ids=[
        "length",
        "wrong type",
        "HTTP/1.0",
        "until the end",
        "HTTP/1.0 until the end",
        "chunks",
        "identity",
        "early hints",
    ],
)
def test_every_usual_way_to_answer(behaviour: Behaviour) -> None:
    assert fetched_from(behaviour) == PNG


def test_what_is_sent_to_the_host() -> None:
    with PictureHost(answers(PNG)) as host:
        fetch(host.url("/snap.cgi?channel=2"), f"127.0.0.1:{host.port}")
        (request,) = host.requests
    assert request.decode().split("\r\n") == [
        "GET /snap.cgi?channel=2 HTTP/1.1",
        f"host: 127.0.0.1:{host.port}",
        "user-agent: edgevlm",
        "accept: image/*",
        "accept-encoding: identity",
        "connection: close",
        "",
        "",
    ]


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
def test_no_proxy_is_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with PictureHost(answers(PNG)) as host, PictureHost(answers(b"the proxy's")) as between:
        monkeypatch.setenv(proxy, f"http://127.0.0.1:{between.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert fetch(host.url(), f"127.0.0.1:{host.port}") == PNG
        assert between.connections == 0


# Hosts that misbehave


@pytest.mark.parametrize("status", [201, 204, 206, 301, 304, 400, 401, 404, 500, 503])
def test_only_200_counts(status: int) -> None:
    assert refused_from(answers(PNG, head=b"HTTP/1.1 %d X\r\n" % status)) == "image_fetch_failed"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with PictureHost(answers(PNG)) as inner:
        for location in (inner.url(), f"//127.0.0.1:{inner.port}/", "/other"):
            with PictureHost(redirects(status, location)) as host:
                hosts = f"127.0.0.1:{host.port},127.0.0.1:{inner.port}"
                assert refusal(host.url(), hosts).code == "image_fetch_failed"
                assert host.connections == 1
        assert inner.connections == 0


@pytest.mark.parametrize(
    "behaviour",
    [
        says(b""),
        says(b"\r\n"),
        says(b"SSH-2.0-OpenSSH_9.2\r\n"),
        says(b"<html>"),
        says(OK + b"content-length: 100\r\n\r\nshort"),
        says(OK + b"content-length: -1\r\n\r\n"),
        says(OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        says(OK + b"content-length: 5e3\r\n\r\n"),
        says(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"),
        says(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nab"),
        says(OK + b"transfer-encoding: gzip\r\n\r\n"),
        says(OK + b"content-encoding: gzip\r\n\r\n" + PNG),
        says(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        repeats(OK, b"x-filler: " + b"a" * 1000 + b"\r\n"),
        repeats(OK + b"x: ", b"a" * 1000),
    ],
)
def test_answers_that_are_none(behaviour: Behaviour) -> None:
    assert refused_from(behaviour) == "image_fetch_failed"


@pytest.mark.slow
@pytest.mark.parametrize(
    "behaviour",
    [
        then_waits(OK + b"content-length: 100001\r\n\r\n"),
        then_waits(OK + b"content-length: 99999999999999999999\r\n\r\n"),
        repeats(OK + b"\r\n", b"x" * 5000),
        repeats(
            OK + b"content-length: 100000\r\ntransfer-encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"
        ),
        repeats(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
        repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["announced", "announced, huge", "endless", "endless chunks", "endless tiny chunks", "endless continuing"],
)
def test_too_much_is_not_read(behaviour: Behaviour) -> None:
    """The host goes on until it is left, so that the test would not end if all of it were read."""
    assert refused_from(behaviour) == "image_too_large"


def test_as_much_as_is_allowed_is_read() -> None:
    assert len(fetched_from(answers(bytes(100_000)))) == 100_000
    assert refused_from(answers(bytes(100_001))) == "image_too_large"


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", [b"", OK, OK + b"content-length: 100\r\n\r\nab", OK + b"transfer-encoding: chunked\r\n\r\n"]
)
def test_a_host_that_stalls_is_left(start: bytes) -> None:
    assert refused_from(then_waits(start), replace(LIMITS, fetch_seconds=0.3)) == "image_fetch_timeout"


@pytest.mark.slow
def test_a_host_that_drips_is_left() -> None:
    """Each byte comes in time; all of them together do not."""
    drip = repeats(OK + b"content-length: 90000\r\n\r\n", b"x", pause=0.02)
    assert refused_from(drip, replace(LIMITS, fetch_seconds=0.5)) == "image_fetch_timeout"


def test_a_port_where_nobody_listens() -> None:
    with PictureHost(answers(PNG)) as host:
        url, hosts = host.url(), f"127.0.0.1:{host.port}"
    assert refusal(url, hosts).code == "image_fetch_failed"


@pytest.mark.slow
def test_a_host_is_not_flooded_through_this_server() -> None:
    lock, here, most = threading.Lock(), 0, 0

    def behave(connection: socket.socket) -> None:
        nonlocal here, most
        with lock:
            here += 1
            most = max(most, here)
        time.sleep(0.05)
        with lock:
            here -= 1
        answers(PNG)(connection)

    async def main(url: str, hosts: ImageHosts) -> list[bytes]:
        fetcher = ImageFetcher(hosts, LIMITS, no_resolver)
        return await asyncio.gather(*(fetcher.fetch(url) for _ in range(3 * AT_ONCE)))

    with PictureHost(behave) as host:
        files = asyncio.run(main(host.url(), ImageHosts.parse(f"127.0.0.1:{host.port}")))
    assert files == [PNG] * 3 * AT_ONCE
    assert 1 < most <= AT_ONE_HOST


@pytest.mark.slow
def test_a_host_that_hangs_does_not_hold_up_another() -> None:
    async def main(hanging: str, good: str, hosts: ImageHosts) -> tuple[bytes, list[object]]:
        fetcher = ImageFetcher(hosts, replace(LIMITS, fetch_seconds=10), resolve_to_here)
        stuck = [asyncio.create_task(fetcher.fetch(hanging)) for _ in range(20)]
        await asyncio.sleep(0.05)
        data = await fetcher.fetch(good)
        assert not any(task.done() for task in stuck)
        return data, await asyncio.gather(*stuck, return_exceptions=True)

    async def resolve_to_here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with PictureHost(then_waits(b"")) as hanging, PictureHost(answers(PNG)) as good:
        hosts = ImageHosts.parse(f"hangs.invalid:{hanging.port},good.invalid:{good.port},127.0.0.1")
        data, ends = asyncio.run(main(hanging.url(host="hangs.invalid"), good.url(host="good.invalid"), hosts))
    assert data == PNG
    # those that waited for their turn have waited no longer than the others
    assert [getattr(end, "code", None) for end in ends] == ["image_fetch_timeout"] * 20


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    start=st.sampled_from(
        [b"", b"HTTP/1.1 ", OK, OK + b"content-length: ", OK + b"\r\n", OK + b"transfer-encoding: chunked\r\n\r\n"]
    ),
    rest=st.binary(max_size=200) | st.text("0123456789abcdef\r\n: ;", max_size=60).map(str.encode),
)
def test_any_answer_is_a_file_or_an_image_error(start: bytes, rest: bytes) -> None:
    with PictureHost(says(start + rest)) as host:
        try:
            assert len(fetch(host.url(), f"127.0.0.1:{host.port}")) <= len(rest)
        except ImageError as error:
            assert error.code in ("image_fetch_failed", "image_too_large")


def test_no_text_from_the_host_or_the_client_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    with (
        PictureHost(says(b"HTTP/1.1 500 zq7secret\r\nx: zq7secret\r\n\r\nzq7secret")) as host,
        caplog.at_level("DEBUG"),
    ):
        errors = [refusal(host.url("/zq7secret"), f"127.0.0.1:{host.port}")]
        errors.append(refusal("http://zq7secret/", "127.0.0.1"))
    with PictureHost(says(b"zq7secret zq7secret\r\n\r\n")) as host, caplog.at_level("DEBUG"):
        errors.append(refusal(host.url(), f"127.0.0.1:{host.port}"))
    assert [error.code for error in errors] == ["image_fetch_failed", "image_host_not_allowed", "image_fetch_failed"]
    assert "zq7secret" not in " ".join(map(str, errors)) + caplog.text
    assert "it answered with status 500" in caplog.text
