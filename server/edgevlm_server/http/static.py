"""The page at `/` for people: files of this package, the same for everyone, so without a key. Knows HTTP, no service.

All that the page asks for goes through the API with the key of whoever uses it.
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Request, Response

FILES = Path(__file__).parents[1] / "page"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}

POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    # blob: the picture that was chosen, before it is sent anywhere
    "img-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)

HEADERS = {
    "content-security-policy": "; ".join(POLICY),
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # names carry no version: a browser asks each time, and is told 304 until a new version is installed
    "cache-control": "no-cache",
}


def page_router() -> APIRouter:
    """`/`, and `/page/NAME` for what it loads. The files are read once, here: no request reaches the disk."""
    router = APIRouter()
    for file in sorted(FILES.iterdir()):
        path = "/" if file.name == "index.html" else f"/page/{file.name}"
        send = _sender(file.read_bytes(), TYPES[file.suffix])
        router.add_api_route(path, send, methods=["GET", "HEAD"], include_in_schema=False)
    return router


def _sender(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "etag": etag}

    async def send(request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        if known == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return send
