"""What a request is aimed at, however it was written: its path, the server's name, and HEAD. Knows no route.

Clients put slashes where they should not, proxies may or may not take the prefix off under which they publish a
server, and a client that takes the server for a proxy sends a whole address.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from edgevlm_server.observe.record import record_of

_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://([^/]*)(.*)", re.IGNORECASE | re.DOTALL)
_SLASHES = re.compile("/{2,}")


class Targets:
    """Gives the application one spelling of each path, behind `root_path`, and GET instead of HEAD.

    `raw_path` stays as it was sent, and the record gets the path's route. uvicorn leaves out the body of an answer to
    HEAD.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._plain(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            # the router has left there which route it was
            record_of(scope).route = getattr(scope.get("route"), "path", None)

    def _plain(self, scope: Scope) -> Scope:
        path, headers = scope["path"], scope["headers"]
        if absolute := _ABSOLUTE.fullmatch(path):
            path = absolute[2]
            # the name in the address counts, not the one in the header
            headers = [header for header in headers if header[0] != b"host"]
            headers.append((b"host", absolute[1].encode("latin-1", "replace")))
        return {
            **scope,
            "method": "GET" if scope["method"] == "HEAD" else scope["method"],
            "headers": headers,
            "root_path": self._root_path,
            "path": self._root_path + local_path(path, self._root_path),
        }


def local_path(path: str, root_path: str) -> str:
    """The path as the routes have it: without the prefix, without slashes that mean nothing."""
    path = _SLASHES.sub("/", path)
    if path == root_path or path.startswith(f"{root_path}/"):
        path = path.removeprefix(root_path)
    return path.rstrip("/") or "/"
