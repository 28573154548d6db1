"""The server that is measured is none of the site's: what is set for that one does not reach it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgevlm.http_client import Server, fetch
from edgevlm.own_server import own_server

SITE = {
    "HOST": "0.0.0.0",
    "API_KEYS": "/nonexistent/keys",
    "TLS_CERT": "/nonexistent/crt",
    "AUDIT": "/nonexistent/audit",
    "PRECISION": "int8",
    "METRICS_PORT": "1",
}


@pytest.mark.slow
def test_it_starts_whatever_the_site_has_set(bundles: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {**SITE, "MAX_BATCH": "3"}.items():
        monkeypatch.setenv(f"EDGEVLM_{name}", text)
    with own_server(bundles("v2"), ["--engine", "echo"]) as url:
        assert b'"slots":{"used":0,"limit":3}' in fetch(Server.at(url), "GET", "/status", seconds=60).body
