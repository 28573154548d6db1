"""The description of the API is complete and true: what it refers to exists, and its examples are answered."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from edgevlm_server.http.app import BODIES, build_api
from edgevlm_server.http.openapi import describe
from edgevlm_server.http.static import DOCS, SHARED
from edgevlm_server.refusals import Refused
from edgevlm_server.version import commit, version

from tests.live import LiveServer

ALWAYS = {"401"}
WITH_A_BODY = {"400", "401", "404", "408", "413", "415", "429", "503"}


@pytest.fixture(scope="module")
def description(echo_server: LiveServer) -> dict[str, Any]:
    found: dict[str, Any] = echo_server.client.get("/openapi.json").json()
    return found


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def values(node: Any, key: str) -> Iterator[Any]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values(value, key)


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    references = set(values(description, "$ref"))
    assert len(references) > 10
    known = description["components"]["schemas"]
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= set(known)


@pytest.mark.slow
def test_every_route_says_what_it_is_and_which_errors_it_has(echo_server: LiveServer) -> None:
    keyed = describe(build_api(echo_server.service, None), BODIES, keyed=True)
    for method, path, operation in operations(keyed):
        assert operation["description"], path
        found = set(operation["responses"])
        assert ("422" in found) == (path == "/ask")
        if path in ("/health", "/ready"):
            assert "security" not in operation
            continue
        assert operation["security"], path
        assert ALWAYS | (WITH_A_BODY if method == "post" else set()) <= found, path


def test_every_reason_for_no_answer_is_named(description: dict[str, Any]) -> None:
    [head] = {tuple(head["schema"]["enum"]) for head in values(description, "x-refused")}
    assert set(head) == set(get_args(Refused))


@pytest.mark.slow
def test_every_example_is_answered(echo_server: LiveServer, description: dict[str, Any]) -> None:
    sent = 0
    for method, path, operation in operations(description):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            assert method == "get" or operation["requestBody"]["content"], path
            continue
        assert body["examples"], path
        for name, example in body["examples"].items():
            response = echo_server.client.request(method, path, json=example["value"])
            assert response.status_code == 200, (path, name, response.text)
            sent += 1
    assert sent >= 6


def test_the_page_loads_nothing_from_elsewhere(echo_server: LiveServer) -> None:
    page = echo_server.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert set(re.findall(r'src="([^"]+)"', page.text)) == {"docs/docs.js", "docs/icon.svg"}
    for file in (*DOCS.iterdir(), *SHARED):
        asset = echo_server.client.get("/docs" if file.name == "docs.html" else f"/docs/{file.name}")
        assert (asset.status_code, asset.content) == (200, file.read_bytes())
        assert asset.headers["x-content-type-options"] == "nosniff"
        if file.suffix in (".html", ".css", ".js"):
            assert "://" not in asset.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|\*|https?:|data:", policy)


def test_a_models_card(echo_server: LiveServer) -> None:
    [card] = echo_server.client.get("/v1/models").json()["data"]
    assert card == echo_server.client.get("/v1/models/v2").json()
    assert card["max_model_len"] == 2048
    assert card["description"] == ""
    missing = echo_server.client.get("/v1/models/some/other")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    # a client library writes a slash in a name as %2F
    assert echo_server.client.get("/v1/models/a%2Fb").json()["error"]["code"] == "model_not_found"


def test_the_version_is_the_programs(echo_server: LiveServer) -> None:
    assert echo_server.client.get("/version").json() == {"version": version(), "commit": commit()}
    assert echo_server.metrics()[f'edgevlm_build_info{{commit="{commit()}",version="{version()}"}}'] == 1
