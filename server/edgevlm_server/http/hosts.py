"""Which names of the server a client may use: a guard against DNS rebinding. Knows the header `Host`, no route.

A page on the internet may have its own name resolve to this machine, and its scripts then count as the server's own.
They cannot change what the browser sends as `Host`: the page's name. Addresses, and names that no public name server
answers, cannot belong to such a page.
"""

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edgevlm_server.errors import Forbidden
from edgevlm_server.http.envelope import refusal

PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")
"""Names that are reserved for use within a machine or a network."""


class HostGuard:
    """Refuses requests for names that are neither private nor among `allowed`; `*` stands for every name."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._may_use(Headers(scope=scope).get("host", "")):
            await refusal(_refused())(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _may_use(self, host: str) -> bool:
        name = host_name(host)
        return "*" in self._allowed or name in self._allowed or is_private(name)


def host_name(host: str) -> str:
    """A `Host` header without its port, in small letters and without a last dot."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host.removesuffix(":")
    return name.strip("[]").rstrip(".").lower()


def is_private(name: str) -> bool:
    """Whether no page on the internet can have this name. No name at all is sent by no browser."""
    if "." not in name and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.endswith(PRIVATE)
    return True


def _refused() -> Forbidden:
    return Forbidden(
        "This server may not be used under this name: start it with --allowed-hosts NAME, or use its address.",
        code="host_not_allowed",
    )
