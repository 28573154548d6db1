"""The page's files over HTTP: types, caching, policy, who may have them, and that they name no other host."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.static import FILES, page_router
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings
from fastapi.routing import APIRoute

from tests.live import LiveServer

EXAMPLES = Path(__file__).parents[3] / "examples"
TYPES = {
    "/": "text/html; charset=utf-8",
    "/page/access.js": "text/javascript; charset=utf-8",
    "/page/answers.css": "text/css; charset=utf-8",
    "/page/answers.js": "text/javascript; charset=utf-8",
    "/page/camera.js": "text/javascript; charset=utf-8",
    "/page/confidence.js": "text/javascript; charset=utf-8",
    "/page/csv.js": "text/javascript; charset=utf-8",
    "/page/curl.js": "text/javascript; charset=utf-8",
    "/page/display.jpg": "image/jpeg",
    "/page/elements.js": "text/javascript; charset=utf-8",
    "/page/flange.jpg": "image/jpeg",
    "/page/gauge.jpg": "image/jpeg",
    "/page/icon.svg": "image/svg+xml",
    "/page/look.css": "text/css; charset=utf-8",
    "/page/marker.js": "text/javascript; charset=utf-8",
    "/page/page.css": "text/css; charset=utf-8",
    "/page/page.js": "text/javascript; charset=utf-8",
    "/page/part.js": "text/javascript; charset=utf-8",
    "/page/picture.js": "text/javascript; charset=utf-8",
    "/page/rectangle.js": "text/javascript; charset=utf-8",
    "/page/server.js": "text/javascript; charset=utf-8",
    "/page/sse.js": "text/javascript; charset=utf-8",
    "/page/status.css": "text/css; charset=utf-8",
    "/page/status.js": "text/javascript; charset=utf-8",
    "/page/turn.js": "text/javascript; charset=utf-8",
}


@pytest.fixture(scope="module")
def locked(bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that needs a key."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    add_key(file, "camera-1")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(file)) as server:
        yield server


def test_what_is_served_without_a_key_is_known() -> None:
    """A new file is added here by hand, after a look at whether everyone may have it."""
    routes = [route for route in page_router().routes if isinstance(route, APIRoute)]
    assert {route.path for route in routes} == set(TYPES)
    assert all(route.methods == {"GET"} for route in routes)


@pytest.mark.parametrize("path", TYPES)
def test_each_file_comes_as_what_it_is_and_without_a_key(locked: LiveServer, path: str) -> None:
    response = locked.client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == TYPES[path]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-request-id"]
    file = FILES / ("index.html" if path == "/" else path.removeprefix("/page/"))
    assert response.content == file.read_bytes()


def test_the_policy_lets_nothing_in_from_elsewhere(locked: LiveServer) -> None:
    policy = locked.client.get("/").headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert "frame-ancestors 'none'" in policy
    for directive in policy:
        assert not re.search(r"unsafe|\*|https?:|data:", directive), directive


def test_a_browser_that_has_it_is_told_so(locked: LiveServer) -> None:
    first = locked.client.get("/page/page.css")
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = locked.client.get("/page/page.css", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert locked.client.get("/page/page.css", headers={"if-none-match": '"other"'}).status_code == 200
    assert locked.client.get("/page/page.js").headers["etag"] != etag


def test_head_is_the_same_without_the_content(locked: LiveServer) -> None:
    whole, head = locked.client.get("/"), locked.client.head("/")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "content-security-policy"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize("path", ["/page", "/page/", "/page/index.html", "/page/../app.py", "/page/%2e%2e/app.py"])
def test_there_is_nothing_else(locked: LiveServer, path: str) -> None:
    response = locked.client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_nothing_can_be_sent_to_it(locked: LiveServer) -> None:
    assert locked.client.post("/", json={}).status_code == 405


@pytest.mark.slow
def test_it_can_be_switched_off(bundles: Callable[[str], Path]) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", no_page=True) as server:
        for path in TYPES:
            assert server.client.get(path).status_code == 404
        assert server.client.get("/health").status_code == 200


@pytest.mark.slow
def test_it_is_no_part_of_the_api(echo_server: LiveServer) -> None:
    paths = echo_server.client.get("/openapi.json").json()["paths"]
    assert "/v1/models" in paths
    assert not [path for path in paths if path == "/" or path.startswith("/page")]


def test_no_other_host_is_named() -> None:
    """The site may have no internet; a namespace is a name and not an address."""
    for file in FILES.glob("*.[hcjs]*"):
        if file.suffix != ".jpg":
            text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|[\"'(]//\w", text), file


@pytest.mark.parametrize("name", ["display.jpg", "flange.jpg", "gauge.jpg"])
def test_its_pictures_are_the_examples(name: str) -> None:
    """The demo's tests say that these are answered rightly."""
    assert (FILES / name).read_bytes() == (EXAMPLES / name).read_bytes()
