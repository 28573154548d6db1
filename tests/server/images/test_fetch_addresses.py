"""Where a name leads and who answers there: looked up once, pinned, never into a network that is not listed; TLS."""

import asyncio
import os
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from edgevlm_server.images.fetch import ImageFetcher
from edgevlm_server.images.formats.limits import ImageError
from edgevlm_server.images.hosts import ImageHosts

from tests.server.images.fetching import LIMITS, PNG, fetch, refusal
from tests.server.images.picture_hosts import PictureHost, StandInResolver, answers


def test_a_name_is_looked_up_once_and_the_connection_goes_there() -> None:
    """The second answer would lead elsewhere: rebinding."""
    with PictureHost(answers(PNG)) as host:
        resolve = StandInResolver(["127.0.0.1"], ["10.9.9.9"])
        hosts = f"camera.invalid:{host.port},127.0.0.1"
        assert fetch(host.url(host="camera.invalid"), hosts, resolve) == PNG
        assert resolve.asked == ["camera.invalid"]
        assert f"host: camera.invalid:{host.port}" in host.requests[0].decode()


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "0.0.0.0"]
)
def test_a_listed_name_does_not_lead_into_the_private_network(address: str) -> None:
    with PictureHost(answers(PNG)) as host:
        error = refusal(host.url(host="cdn.example"), f"cdn.example:{host.port}", StandInResolver([address]))
        assert error.code == "image_fetch_failed"
        assert host.connections == 0


def test_rebinding_between_two_pictures_is_seen() -> None:
    with PictureHost(answers(PNG)) as host:
        resolve = StandInResolver(["10.0.0.1"], ["127.0.0.1"])
        hosts = f"camera.invalid:{host.port},127.0.0.1"
        assert refusal(host.url(host="camera.invalid"), hosts, resolve).code == "image_fetch_failed"
        assert host.connections == 0
        assert fetch(host.url(host="camera.invalid"), hosts, resolve) == PNG


def test_of_several_addresses_one_that_is_allowed_is_taken() -> None:
    with PictureHost(answers(PNG)) as host:
        resolve = StandInResolver(["fe80::1%lo", "::1", "10.0.0.1", "127.0.0.1"])
        assert fetch(host.url(host="camera.invalid"), f"camera.invalid:{host.port},127.0.0.1", resolve) == PNG


def test_an_address_that_refuses_is_not_the_end() -> None:
    with PictureHost(answers(PNG)) as host:
        resolve = StandInResolver(["127.0.0.2", "127.0.0.3", "127.0.0.1"])
        assert fetch(host.url(host="camera.invalid"), f"camera.invalid:{host.port},127.0.0.0/29", resolve) == PNG


@pytest.mark.slow
def test_an_address_that_is_silent_is_not_the_end(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevlm_server.images.fetch.CONNECT_SECONDS", 0.2)
    with (
        PictureHost(answers(PNG), tls_of(authority, "camera.invalid")) as host,
        # takes the connection and never answers the greeting
        socket.create_server(("127.0.0.2", host.port)),
    ):
        resolve = StandInResolver(["127.0.0.2", "127.0.0.1"])
        url, hosts = host.url(host="camera.invalid", scheme="https"), f"camera.invalid:{host.port},127.0.0.0/29"
        assert fetch(url, hosts, resolve) == PNG


def test_a_name_that_nobody_knows() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("name not known")

    assert refusal("http://camera.invalid/", "camera.invalid", resolve).code == "image_fetch_failed"
    assert refusal("http://camera.invalid/", "camera.invalid", StandInResolver([])).code == "image_fetch_failed"


@pytest.mark.slow
def test_a_name_server_that_does_not_answer() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    limits = replace(LIMITS, fetch_seconds=0.2)
    assert refusal("http://camera.invalid/", "camera.invalid", resolve, limits).code == "image_fetch_timeout"


def test_what_is_not_listed_is_neither_looked_up_nor_connected_to() -> None:
    with PictureHost(answers(PNG)) as host:
        for url in (host.url(), host.url(host="localhost"), "http://evil.example/", host.url(host="a@127.0.0.1")):
            assert refusal(url, "camera.invalid,10.0.0.7,127.0.0.2").code == "image_host_not_allowed"
        assert host.connections == 0


# TLS


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Trusted as a site's own authority is: through OpenSSL's variable."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def tls_of(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_https_with_the_right_name(authority: trustme.CA) -> None:
    with PictureHost(answers(PNG), tls_of(authority, "camera.invalid")) as host:
        hosts = f"camera.invalid:{host.port},127.0.0.1"
        url = host.url(host="camera.invalid", scheme="https")
        assert fetch(url, hosts, StandInResolver(["127.0.0.1"])) == PNG
    with PictureHost(answers(PNG), tls_of(authority, "127.0.0.1")) as host:
        assert fetch(host.url(scheme="https"), f"127.0.0.1:{host.port}") == PNG


def test_https_with_another_name_or_authority(authority: trustme.CA) -> None:
    for tls in (tls_of(authority, "other.invalid"), tls_of(trustme.CA(), "127.0.0.1")):
        with PictureHost(answers(PNG), tls) as host:
            assert refusal(host.url(scheme="https"), f"127.0.0.1:{host.port}").code == "image_fetch_failed"
            assert host.requests == []


@pytest.mark.slow
def test_https_where_there_is_none() -> None:
    with PictureHost(answers(PNG)) as host:
        limits = replace(LIMITS, fetch_seconds=1)
        error = refusal(host.url(scheme="https"), f"127.0.0.1:{host.port}", limits=limits)
    assert error.code in ("image_fetch_failed", "image_fetch_timeout")


def test_a_host_that_never_says_goodbye_is_left_at_once(authority: trustme.CA) -> None:
    """TLS ends with a goodbye from either side, and waiting for the host's would keep its connection."""
    left: list[float] = []

    def keeps_quiet(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        began = time.monotonic()
        # below TLS: a goodbye is read, and not answered
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as raw:
            raw.settimeout(20)
            while raw.recv(4096):
                pass
        left.append(time.monotonic() - began)

    async def main() -> None:
        fetcher = ImageFetcher(ImageHosts.parse(f"camera.invalid:{host.port},127.0.0.1"), LIMITS, resolve)
        with pytest.raises(ImageError):
            await fetcher.fetch(host.url(host="camera.invalid", scheme="https"))
        # the server lives on, and so do connections that it has not ended
        for _ in range(1000):
            if left:
                break
            await asyncio.sleep(0.02)

    with PictureHost(keeps_quiet, tls_of(authority, "camera.invalid")) as host:
        resolve = StandInResolver(["127.0.0.1"])
        asyncio.run(main())
        assert left, "the connection was kept"
