"""TLS over real sockets: who gets in, what becomes of those who do not, and a certificate that is replaced."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trustme
from edgevlm_server.http.transport.tls import Certificate
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings, SettingsError

from edgevlm.http_client import ExchangeError, Server, fetch
from tests.live import LiveServer, sse
from tests.server.engines import until

Bundles = Callable[[str], Path]

MOST = 8
"""Connections of one address."""


class Site:
    """A server with a certificate of an authority of its own."""

    def __init__(self, bundle: Path, folder: Path, head_timeout: float = 20.0) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.issue()
        self.certificate = Certificate(folder / "crt", folder / "key")
        settings = Settings(engine="echo", head_timeout=head_timeout, max_connections_per_address=MOST)
        self.server = LiveServer(lambda: load_model(bundle, settings), settings, certificate=self.certificate)
        self.trusting = ssl.create_default_context()
        self.authority.configure_trust(self.trusting)
        self.authority.cert_pem.write_to_path(folder / "ca")

    def issue(self) -> None:
        made = self.authority.issue_cert("127.0.0.1")
        (self.folder / "crt").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        made.private_key_pem.write_to_path(self.folder / "key")

    def handshake(self) -> ssl.SSLSocket:
        raw = socket.create_connection(self.server.address, timeout=20)
        return self.trusting.wrap_socket(raw, server_hostname="127.0.0.1")

    def serial(self) -> str:
        """Of the certificate that a new client is shown."""
        with self.handshake() as connection:
            shown = connection.getpeercert()
        assert shown is not None
        return str(shown["serialNumber"])

    def open(self) -> int:
        return self.server.places.open


@pytest.fixture(scope="module")
def site(bundles: Bundles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(bundles("v2"), tmp_path_factory.mktemp("tls"))
    with made.server:
        yield made


@pytest.fixture(autouse=True)
def nothing_left(site: Site) -> Iterator[None]:
    yield
    site.server.client.close()
    site.server.client = httpx.Client(base_url=site.server.url, timeout=60, verify=False)
    until(lambda: site.open() == 0, "all connections to be closed")


def test_answers_and_streams(site: Site) -> None:
    with httpx.Client(base_url=site.server.url, verify=site.trusting, timeout=60) as client:
        assert client.get("/health").json() == {"status": "ok"}
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 4}
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert list(sse(response))[-1] == "[DONE]"


def test_nothing_older_than_tls_1_2(site: Site) -> None:
    assert site.certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2
    with site.handshake() as connection:
        assert connection.version() in ("TLSv1.2", "TLSv1.3")


def test_a_new_certificate_is_shown_to_new_clients_and_old_connections_stay(site: Site) -> None:
    before = site.serial()
    stays = httpx.Limits(keepalive_expiry=None)
    with httpx.Client(base_url=site.server.url, verify=site.trusting, timeout=60, limits=stays) as client:
        client.get("/health")
        site.issue()
        site.certificate.reload()
        assert site.serial() != before
        stream = client.get("/health").extensions["network_stream"]
        assert f"{stream.get_extra_info('ssl_object').getpeercert()['serialNumber']}" == before


@pytest.mark.parametrize("broken", ["key of another", "nonsense", "nothing"])
def test_a_broken_file_keeps_the_certificate_of_before(
    site: Site, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, key = site.serial(), (site.folder / "key").read_bytes()
    if broken == "key of another":
        site.authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(site.folder / "key")
    elif broken == "nonsense":
        (site.folder / "key").write_text("nonsense")
    else:
        (site.folder / "key").unlink()
    site.certificate.reload()
    (site.folder / "key").write_bytes(key)
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "The certificate that was read before stays in use." in line and str(site.folder / "key") in line
    assert site.serial() == before


def test_http_on_this_port_is_closed_without_a_word_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(site.server.address, timeout=20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = b""
        with suppress(ConnectionResetError):
            while block := connection.recv(4096):
                heard += block
    assert b"HTTP/1.1 200" not in heard
    assert not caplog.records


@pytest.mark.slow
def test_a_handshake_that_does_not_come_is_given_up(
    bundles: Bundles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hasty = Site(bundles("v2"), tmp_path, head_timeout=1.0)
    with hasty.server, socket.create_connection(hasty.server.address, timeout=20) as connection:
        connection.sendall(b"\x16\x03\x01")
        with suppress(ConnectionResetError):
            assert connection.recv(4096) == b""
        until(lambda: hasty.open() == 0, "its place to be given back")
    assert not caplog.records


def test_handshakes_under_way_count_as_connections(site: Site) -> None:
    silent = [socket.create_connection(site.server.address, timeout=20) for _ in range(MOST)]
    until(lambda: site.open() == MOST, "all to be counted")
    with pytest.raises(OSError):
        site.handshake()
    for connection in silent:
        connection.close()
    until(lambda: site.open() == 0, "all to be closed")
    assert site.serial()


def test_all_connections_that_may_be_open_can_be(site: Site) -> None:
    """A handshake's place is given back before its connection takes one."""
    opened = [site.handshake() for _ in range(MOST)]
    for connection in opened:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    for connection in opened:
        connection.close()


@pytest.mark.slow
def test_what_is_no_http_gets_its_answer_inside_tls(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with site.handshake() as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert b"invalid_http" in connection.makefile("rb").read()
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


def test_a_client_that_ends_its_side_is_gone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Without TLS it would still get its answer."""
    with site.handshake() as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        # the answer may have been on its way before
        with suppress(OSError):
            connection.unwrap()
    assert "eof_received" not in caplog.text, "asyncio warns of connections that TLS cannot keep half open"


def test_a_client_that_hangs_up_is_noticed(site: Site) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hi " * 50}], "stream": True}).encode()
    with site.handshake() as connection:
        head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}".encode() + body)
        assert connection.recv(4096)
    until(lambda: site.server.service.admission.inside == 0, "the request to be over")


def test_to_who_has_left_nothing_more_is_written(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], "max_tokens": 400, "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for _ in range(10):
        with site.handshake() as connection:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            connection.recv(10)
        until(lambda: site.server.service.admission.inside == 0, "it to be over")
    assert "socket.send() raised exception" not in caplog.text
    assert "SSL connection is closed" not in caplog.text


def test_the_commands_client_trusts_the_file_that_the_environment_names(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExchangeError, match=r"certificate is not trusted .*SSL_CERT_FILE"):
        fetch(Server.at(site.server.url), "GET", "/health", seconds=30)
    monkeypatch.setenv("SSL_CERT_FILE", str(site.folder / "ca"))
    assert fetch(Server.at(site.server.url), "GET", "/health", seconds=30).status == 200


def test_files_that_cannot_be_used_are_one_sentence(site: Site, tmp_path: Path) -> None:
    certificate, key = site.folder / "crt", site.folder / "key"
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Certificate(tmp_path / "absent", key)
    with pytest.raises(SettingsError, match="both must be PEM"):
        Certificate(certificate, site.folder / "ca")
    other = trustme.CA().issue_cert("127.0.0.1").private_key_pem
    other.write_to_path(tmp_path / "key")
    with pytest.raises(SettingsError, match="do not belong together"):
        Certificate(certificate, tmp_path / "key")


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(SettingsError, match="go together"):
        Settings(tls_cert=Path("crt")).check()
