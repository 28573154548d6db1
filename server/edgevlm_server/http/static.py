"""Pages for people, `/` and `/docs`: files of this package, alike for everyone, so without a key. Knows no service.

All that a page asks for goes through the API with the key of whoever uses it. Nothing is loaded from elsewhere, and
browsers are told to see to that.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from fastapi import APIRouter, Request, Response

Send = Callable[[Request], Awaitable[Response]]

FILES = Path(__file__).parents[1] / "page"
DOCS = Path(__file__).parents[1] / "docs"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}

SHARED = (FILES / "look.css", FILES / "icon.svg", FILES / "elements.js")
"""What `/docs` loads too, under its own path: it is there without the page."""

POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    # blob: the picture that was chosen, before it is sent anywhere
    "img-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)

DOCS_HEADERS = {
    "content-security-policy": "; ".join(POLICY),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # names carry no version: a browser asks each time, and is told 304 until a new version is installed
    "cache-control": "no-cache",
}

PAGE_HEADERS = {
    **DOCS_HEADERS,
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def page_router() -> APIRouter:
    """`/`, and `/page/NAME` for what it loads: to try the model in a browser."""
    return _router(FILES.iterdir(), "index.html", "/", "/page", PAGE_HEADERS)


def docs_router() -> APIRouter:
    """`/docs`, and `/docs/NAME` for what it loads: the API's description, to be read and tried."""
    return _router((*DOCS.iterdir(), *SHARED), "docs.html", "/docs", "/docs", DOCS_HEADERS)


def _router(files: Iterable[Path], first: str, path: str, prefix: str, headers: Mapping[str, str]) -> APIRouter:
    """The files are read once, here: no request reaches the disk."""
    router = APIRouter()
    for file in sorted(files):
        send = _sender(file.read_bytes(), TYPES[file.suffix], headers)
        is_page = file.name == first
        name = path if is_page else f"{prefix}/{file.name}"
        router.add_api_route(name, _at(path, send) if is_page else send, include_in_schema=False)
    return router


def _at(path: str, send: Send) -> Send:
    """The page where it belongs: what it loads is named from there, so a slash more or less would mislead it."""

    async def send_or_lead(request: Request) -> Response:
        if request.scope["raw_path"].endswith(b"/") == path.endswith("/"):
            return await send(request)
        return Response(status_code=307, headers={"location": request.scope["root_path"] + path})

    return send_or_lead


def _sender(content: bytes, media_type: str, headers: Mapping[str, str]) -> Send:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    sent = {**headers, "etag": etag}

    async def send(request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        if known == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=sent)
        return Response(content, media_type=media_type, headers=sent)

    return send
