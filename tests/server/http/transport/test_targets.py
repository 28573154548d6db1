"""What a request is aimed at: methods beside the routes' own, paths as people type them, names, other origins."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from edgevlm_server.http.access.hosts import host_name, is_private
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.transport.targets import local_path
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.live import LiveServer
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]

GETS = ("/", "/page/page.css", "/docs", "/docs/docs.js", "/health", "/ready", "/metrics", "/openapi.json", "/version")
MODELS = ("/v1/models", "/v1/models/v2")
POSTS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/decisions", "/ask"),
    *("/tokenize", "/detokenize", "/v1/chat/completions/input_tokens", "/v1/responses/input_tokens"),
)


def raw(server: LiveServer, request: str) -> bytes:
    """The whole answer to a request as written; it ends with the connection."""
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        return connection.makefile("rb").read()


@contextmanager
def serving(bundle: Path, keys: Path | None = None, **settings: object) -> Iterator[LiveServer]:
    chosen = Settings(engine="echo", **settings)  # type: ignore[arg-type]
    with LiveServer(
        lambda: load_model(bundle, chosen), chosen, None if keys is None else KeyRing.load(keys)
    ) as server:
        yield server


# -- methods ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("path", [*GETS, *MODELS])
def test_the_head_alone_of_all_that_can_be_got(echo_server: LiveServer, path: str) -> None:
    whole, head = echo_server.client.get(path), echo_server.client.head(path)
    assert head.status_code == whole.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == whole.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == whole.headers["content-length"]


def test_the_head_of_what_is_refused(echo_server: LiveServer) -> None:
    assert echo_server.client.head("/nowhere").status_code == 404
    assert echo_server.client.head("/v1/chat/completions").status_code == 405


@pytest.mark.parametrize(
    ("path", "allowed"),
    [*[(path, "GET, HEAD, OPTIONS") for path in (*GETS, *MODELS)], *[(p, "POST, OPTIONS") for p in POSTS]],
)
def test_options_name_the_methods(echo_server: LiveServer, path: str, allowed: str) -> None:
    response = echo_server.client.options(path)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == allowed
    assert "access-control-allow-origin" not in response.headers
    refused = echo_server.client.delete(path)
    check_error(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == allowed


# -- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/models/", "//v1/models", "/v1//models", "/v1/models//", "//v1//models//"])
def test_slashes_too_many_mean_nothing(echo_server: LiveServer, path: str) -> None:
    answer = raw(echo_server, f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"object":"list"' in answer


def test_a_post_with_a_slash_too_many_is_answered(echo_server: LiveServer) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert echo_server.client.post("/v1/chat/completions/", json=body).status_code == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/health", 200),
        ("http://127.0.0.1:8000/v1/models?x=1", 200),
        ("HTTPS://edge-box/health", 200),
        ("http://localhost/", 200),
        ("http://localhost", 307),
        ("http://localhost/nowhere", 404),
        ("http://evil.example/health", 403),
    ],
)
def test_a_whole_address_is_its_path(echo_server: LiveServer, target: str, status: int) -> None:
    """The name in it is the one that counts."""
    answer = raw(echo_server, f"GET {target} HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(("typed", "place"), [("/docs/", "/docs"), ("//docs//", "/docs")])
def test_pages_lead_to_where_their_files_are(echo_server: LiveServer, typed: str, place: str) -> None:
    answer = raw(echo_server, f"GET {typed} HTTP/1.1\nHost: localhost\nConnection: close\n\n").lower()
    assert answer.startswith(b"http/1.1 307 ") and b"\r\nlocation: %s\r\n" % place.encode() in answer


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/v1/models", "", "/v1/models"),
        ("/", "", "/"),
        ("", "", "/"),
        ("///", "", "/"),
        ("/edge/v1/models", "/edge", "/v1/models"),
        ("/v1/models", "/edge", "/v1/models"),
        ("/edge", "/edge", "/"),
        ("/edge/", "/edge", "/"),
        ("/edgevlm/x", "/edge", "/edgevlm/x"),
        ("//edge//x/", "/edge", "/x"),
    ],
)
def test_a_path_without_its_prefix(path: str, root: str, expected: str) -> None:
    assert local_path(path, root) == expected


@pytest.mark.slow
def test_a_prefix_may_have_been_taken_off_or_not(bundles: Bundles) -> None:
    with serving(bundles("v2"), root_path="/edge/vlm") as server:
        for prefix in ("", "/edge/vlm"):
            assert server.client.get(f"{prefix}/v1/models").status_code == 200
            assert server.client.get(f"{prefix}/").headers["content-type"].startswith("text/html")
            body = {"messages": [{"role": "user", "content": "hi"}]}
            assert server.client.post(f"{prefix}/v1/chat/completions", json=body).status_code == 200
        assert server.client.get("/edge/vlm").headers["location"] == "/edge/vlm/"
        assert server.client.get("/edge/vlm/docs/").headers["location"] == "/edge/vlm/docs"
        assert server.client.get("/openapi.json").json()["servers"] == [{"url": "/edge/vlm"}]
        check_error(server.client.get("/edge/v1/models"), 404, "not_found")


# -- names -----------------------------------------------------------------------------------------------------------

PRIVATE = ("localhost", "LOCALHOST:8000", "app.localhost", "127.0.0.1:8000", "[::1]:8000", "192.168.1.4", "edge-box")
PRIVATE_DOMAINS = ("edge-box.local", "host.docker.internal:8000", "box.home.arpa.", "")
FOREIGN = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example.")
FOREIGN_ODD = ("evil.example:localhost", "user@127.0.0.1", "evil.local.example", "evil.example:")


def status(server: LiveServer, host: str) -> int:
    return server.client.get("/v1/models", headers={"host": host}).status_code


def test_a_server_without_keys_on_loopback_is_safe_from_rebinding(echo_server: LiveServer) -> None:
    assert {host: status(echo_server, host) for host in PRIVATE} == dict.fromkeys(PRIVATE, 200)
    response = echo_server.client.get("/v1/models", headers={"host": "evil.example"})
    assert "--allowed-hosts" in check_error(response, 403, "host_not_allowed")["message"]
    assert {host: status(echo_server, host) for host in FOREIGN} == dict.fromkeys(FOREIGN, 403)


ASK = {"image": ("a.png", b"no picture", "image/png")}


@pytest.mark.slow
def test_a_page_of_another_site_sends_no_forms_here(echo_server: LiveServer, bundles: Bundles) -> None:
    """As a browser sends one, which asks nobody before."""
    page = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    check_error(echo_server.client.post("/ask", files=ASK, headers=page), 403, "origin_not_allowed")
    for origin in ("https://evil.example", "null", "https://evil.example:8000"):
        older = {"origin": origin}
        check_error(echo_server.client.post("/ask", files=ASK, headers=older), 403, "origin_not_allowed")
    own = {"origin": "http://box.local", "sec-fetch-site": "same-origin"}
    older_own = {"origin": "http://127.0.0.1:9"}
    for headers in (own, older_own, {}):
        assert echo_server.client.post("/ask", files=ASK, headers=headers).status_code == 400, "the picture is none"
    with serving(bundles("v2"), cors_origins=("https://evil.example",)) as server:
        assert server.client.post("/ask", files=ASK, headers=page).status_code == 400


@pytest.mark.parametrize("host", [*PRIVATE, *PRIVATE_DOMAINS])
def test_names_that_no_page_can_have(host: str) -> None:
    assert is_private(host_name(host))


@pytest.mark.parametrize("host", [*FOREIGN, *FOREIGN_ODD])
def test_names_that_a_page_can_have(host: str) -> None:
    assert not is_private(host_name(host))


@pytest.mark.slow
def test_listed_names_are_allowed_and_no_others(bundles: Bundles, tmp_path: Path) -> None:
    add_key(tmp_path / "keys", "a")
    with serving(bundles("v2"), tmp_path / "keys", allowed_hosts=("vision.example",)) as server:
        # the name is looked at before the key
        hosts = {"vision.example": 401, "Vision.Example:443": 401, "localhost": 401, "other.example": 403}
        assert {host: status(server, host) for host in hosts} == hosts
    with serving(bundles("v2"), allowed_hosts=("*",)) as server:
        assert status(server, "evil.example") == 200


@pytest.mark.slow
def test_a_server_with_keys_has_any_name(bundles: Bundles, tmp_path: Path) -> None:
    add_key(tmp_path / "keys", "a")
    with serving(bundles("v2"), tmp_path / "keys") as server:
        assert status(server, "vision.example") == 401


# -- other origins ---------------------------------------------------------------------------------------------------

MES = "https://mes.example"


def preflight(server: LiveServer, origin: str, path: str = "/v1/chat/completions") -> httpx.Response:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    return server.client.options(path, headers=asked)


@pytest.fixture(scope="module")
def open_to_mes(bundles: Bundles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    add_key(keys, "a")
    with serving(bundles("v2"), keys, cors_origins=(MES, "http://localhost:3000")) as server:
        yield server


def test_a_listed_origin_may_send_its_key(open_to_mes: LiveServer) -> None:
    response = preflight(open_to_mes, MES)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == MES
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "authorization" in response.headers["access-control-allow-headers"]
    assert "x-stainless-os" in response.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in response.headers


def test_a_listed_origin_may_read_answers_and_refusals(open_to_mes: LiveServer) -> None:
    for path, expected in (("/health", 200), ("/v1/models", 401), ("/nowhere", 404)):
        response = open_to_mes.client.get(path, headers={"origin": MES})
        assert response.status_code == expected
        assert response.headers["access-control-allow-origin"] == MES
        shown = response.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "x-should-retry", "x-ratelimit-remaining-tokens"} <= set(shown)


def test_another_origin_may_do_neither(open_to_mes: LiveServer) -> None:
    check_error(preflight(open_to_mes, "https://evil.example"), 403, "origin_not_allowed")
    response = open_to_mes.client.get("/health", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers


def test_without_the_option_no_origin_may(echo_server: LiveServer) -> None:
    response = preflight(echo_server, MES)
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.slow
def test_every_origin_may_if_that_is_said(bundles: Bundles) -> None:
    with serving(bundles("v2"), cors_origins=("*",)) as server:
        assert preflight(server, "https://any.example").headers["access-control-allow-origin"] == "*"


# -- the description -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_description_of_a_server_without_keys_asks_for_none(bundles: Bundles, tmp_path: Path) -> None:
    with serving(bundles("v2")) as server:
        description = server.client.get("/openapi.json").json()
    assert "securitySchemes" not in description["components"]
    for path in description["paths"].values():
        for operation in path.values():
            assert "security" not in operation and "401" not in operation["responses"]
