"""API keys: who gets in, on which routes, and what a key file may look like."""

import hashlib
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.app import KEYED, build_api
from edgevlm_server.http.operation import probes
from edgevlm_server.http.static import DOCS, SHARED, docs_router
from edgevlm_server.model import load_model
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.service import Service
from edgevlm_server.settings import Settings, SettingsError
from fastapi import APIRouter
from fastapi.routing import APIRoute

from tests.live import LiveServer


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture(scope="module")
def locked(
    bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveServer, list[str]]]:
    """A server with two clients, and their keys."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    keys = [add_key(file, "camera-1"), add_key(file, "mes")]
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(file)) as server:
        yield server, keys


def routes(*routers: APIRouter) -> list[tuple[str, str]]:
    found = [
        (method, route.path)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    ]
    assert found
    return found


def test_the_route_table_is_known() -> None:
    """A new route is added here by hand, after a look at whether it needs a key."""
    assert set(routes(probes)) == {("GET", "/health"), ("GET", "/ready")}
    # they are looked at where they are listed
    files = {file.name for file in (*DOCS.iterdir(), *SHARED)} - {"docs.html"}
    assert set(routes(docs_router())) == {("GET", "/docs")} | {("GET", f"/docs/{name}") for name in files}
    assert set(routes(*KEYED)) == {
        ("GET", "/metrics"),
        ("GET", "/status"),
        ("GET", "/openapi.json"),
        ("GET", "/v1/models"),
        ("GET", "/v1/stations"),
        ("POST", "/v1/readings"),
        ("GET", "/v1/models/{model:path}"),
        ("GET", "/version"),
        ("POST", "/detokenize"),
        ("POST", "/tokenize"),
        ("POST", "/ask"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/input_tokens"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/decisions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/responses/input_tokens"),
    }


def test_no_route_is_outside_the_known_routers() -> None:
    app = build_api(Service(Settings(), Metrics()), None)
    known = {path for _, path in routes(probes, docs_router(), *KEYED)}
    assert set(app.openapi()["paths"]) <= {path.replace(":path", "") for path in known}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic {key}"},
        {"authorization": "{key}"},
        {"x-api-key": "wrong"},
        {"authorization": "Bearer wrong", "x-api-key": "{key}"},
        {"host": "localhost/health?"},
        {"x-forwarded-path": "/health", "x-original-url": "/health"},
    ],
)
def test_every_route_but_the_probes_refuses_without_a_key(
    locked: tuple[LiveServer, list[str]], headers: dict[str, str]
) -> None:
    server, keys = locked
    sent = {name: value.format(key=keys[0]) for name, value in headers.items()}
    for method, path in routes(*KEYED):
        response = server.client.request(method, path, headers=sent)
        assert response.status_code == 401, (method, path)
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.json()["error"]["code"] in ("missing_api_key", "invalid_api_key")
    for method, path in [*routes(probes), ("GET", "/docs"), ("GET", "/docs/docs.js"), ("GET", "/docs/docs.css")]:
        assert server.client.request(method, path, headers=sent).status_code == 200


def test_each_client_gets_in_with_its_own_key(locked: tuple[LiveServer, list[str]]) -> None:
    server, keys = locked
    for key in keys:
        for headers in ({"authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}, {"x-api-key": key}):
            assert server.client.get("/v1/models", headers=headers).status_code == 200


def test_a_wrong_key_is_told_apart_from_a_missing_one(locked: tuple[LiveServer, list[str]]) -> None:
    server, _ = locked
    missing = server.client.get("/v1/models").json()["error"]
    wrong = server.client.get("/v1/models", headers={"authorization": "Bearer wrong"}).json()["error"]
    assert (missing["code"], wrong["code"]) == ("missing_api_key", "invalid_api_key")
    assert "send the header" in missing["message"] and "not valid" in wrong["message"]


def test_who_is_refused_is_counted_and_not_in_the_ledger(locked: tuple[LiveServer, list[str]]) -> None:
    server, _ = locked
    before = server.metrics()
    assert server.chat("hi").status_code == 401
    after = server.metrics()
    assert after["edgevlm_unauthorized_requests_total"] == before["edgevlm_unauthorized_requests_total"] + 1
    assert after["edgevlm_requests_received_total"] == before["edgevlm_requests_received_total"]


def test_a_body_is_not_read_before_the_key_is_checked(locked: tuple[LiveServer, list[str]]) -> None:
    server, _ = locked
    response = server.client.post("/v1/chat/completions", content=b"x" * 2**20)
    assert response.status_code == 401


def test_the_file_holds_no_key_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = add_key(file, "camera-1")
    assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KeyRing.load(file).client_of(key) == "camera-1"
    assert KeyRing.load(file).client_of(key + "x") is None
    assert KeyRing.load(file).client_of("") is None


def test_keys_are_stored_as_sha256(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = add_key(file, "camera-1")
    assert file.read_text().split() == ["camera-1", digest(key)]


def test_keys_are_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    key = add_key(file, "camera-1")
    compared: list[bool] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one == other)
        return compared[-1]

    monkeypatch.setattr("hmac.compare_digest", compare)
    ring = KeyRing.load(file)
    assert ring.client_of(key) == "camera-1" and ring.client_of("wrong") is None
    assert compared == [True, False]


def test_comments_and_empty_lines_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = add_key(file, "a")
    file.write_text(f"# cameras\n\n  {file.read_text()}")
    assert KeyRing.load(file).client_of(key) == "a"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "contains no keys"),
        ("# nothing\n", "contains no keys"),
        ("camera-1\n", "line 1: expected 'NAME SHA256'"),
        ("camera-1 plain-text-key\n", "line 1: expected 'NAME SHA256'"),
        (f"a {'0' * 64}\na {'1' * 64}\n", "line 2: the name a appears twice"),
        (f"a {'0' * 64}\nb {'0' * 64}\n", "line 2: b has the same key as a"),
        (f"a {'0' * 64} tomorrow\n", "line 1: expected a time such as"),
        (f"a {digest('')}\n", "line 1: the key of a is empty or easy to guess"),
        (f"a {digest(' ')}\n", "empty or easy to guess"),
        (f"a {digest('EMPTY')}\n", "empty or easy to guess"),
        (f"a {digest('changeme')}\n", "empty or easy to guess"),
        (f"a {digest('')} 2999-01-01T00:00:00Z\n", "empty or easy to guess"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        KeyRing.load(file)


def test_a_file_without_a_last_line_break_is_continued_rightly(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    first = add_key(file, "a")
    file.write_text(file.read_text().rstrip("\n"))
    second = add_key(file, "b")
    ring = KeyRing.load(file)
    assert (ring.client_of(first), ring.client_of(second)) == ("a", "b")


def test_a_missing_or_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        KeyRing.load(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        KeyRing.load(tmp_path / "binary")


@pytest.mark.parametrize("name", ["", "a b", "é", "a\nb", "x" * 65])
def test_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="A client's name"):
        add_key(tmp_path / "keys", name)
    assert not (tmp_path / "keys").exists()


def test_a_second_key_for_a_name_is_refused(tmp_path: Path) -> None:
    add_key(tmp_path / "keys", "a")
    with pytest.raises(SettingsError, match="already has a key for a"):
        add_key(tmp_path / "keys", "a")
