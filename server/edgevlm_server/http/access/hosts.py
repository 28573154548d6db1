"""Keeps pages on the internet from using a server that nothing else guards. Knows request headers, no route.

A page on the internet may have its own name resolve to this machine, and its scripts then count as the server's own.
They cannot change what the browser sends as `Host`: the page's name. Addresses, and names that no public name server
answers, cannot belong to such a page. Under its own name a page may still send forms here without reading the answer;
browsers say of those that they come from another site.
"""

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edgevlm_server.errors import Forbidden
from edgevlm_server.http.transport.envelope import ErrorResponse
from edgevlm_server.settings import Settings, is_loopback

PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")
"""Names that are reserved for use within a machine or a network."""


READING = ("GET", "HEAD", "OPTIONS")

OWN_PAGES = (None, "same-origin", "none")
"""What browsers say of requests of the server's own pages and of people; other clients say nothing."""


class HostGuard:
    """Refuses requests for names that are neither private nor among `allowed`; `*` stands for every name, and for no
    guard. Pages of `origins` may send, and `*` is all of them."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str], origins: Sequence[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(allowed)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "*" in self._allowed:
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if not self._may_use(headers.get("host", "")):
            return await ErrorResponse(_refused_name())(scope, receive, send)
        if scope["method"] not in READING and not self._may_send(headers):
            return await ErrorResponse(refused_origin())(scope, receive, send)
        return await self._app(scope, receive, send)

    def _may_use(self, host: str) -> bool:
        name = host_name(host)
        return name in self._allowed or is_private(name)

    def _may_send(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if "*" in self._origins or origin in self._origins:
            return True
        site = headers.get("sec-fetch-site")
        # older browsers say where the page is from and nothing else
        own = site is not None or origin is None or _name_in(origin) == host_name(headers.get("host", ""))
        return own and site in OWN_PAGES


def allowed_hosts(settings: Settings, host: str, *, keyed: bool) -> tuple[str, ...]:
    """Of a listener on `host`. Without a list, names are checked where nothing else keeps a page out."""
    if settings.allowed_hosts is not None:
        return settings.allowed_hosts
    return () if not keyed and is_loopback(host) else ("*",)


def host_name(host: str) -> str:
    """A `Host` header without its port, in small letters and without a last dot."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host.removesuffix(":")
    return name.strip("[]").rstrip(".").lower()


def _name_in(origin: str) -> str:
    """The host name of a page's origin; of `null` and the like, one that no server has."""
    _, slashes, host = origin.partition("://")
    return host_name(host) if slashes else "null://"


def is_private(name: str) -> bool:
    """Whether no page on the internet can have this name. No name at all is sent by no browser."""
    if "." not in name and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.endswith(PRIVATE)
    return True


def refused_origin() -> Forbidden:
    return Forbidden("This server does not take this from pages of this origin.", code="origin_not_allowed")


def _refused_name() -> Forbidden:
    return Forbidden(
        "This server may not be used under this name: start it with --allowed-hosts NAME, or use its address.",
        code="host_not_allowed",
    )
