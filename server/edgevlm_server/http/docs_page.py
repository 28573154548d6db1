"""`/docs`: the API's description as a page to read and try, complete in the package. Knows HTTP and no route.

The page needs no key, because a browser cannot send one when it opens an address; it is the same on every server.
What it shows comes from `/openapi.json`, with the key that is typed into it.
"""

from importlib.resources import files

from fastapi import APIRouter, Response

from edgevlm_server.errors import NotFound

router = APIRouter()

MEDIA_TYPES = {"docs.html": "text/html", "docs.css": "text/css", "docs.js": "text/javascript"}

HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Nothing is loaded from elsewhere, and a browser is told to see to that."""


@router.get("/docs", include_in_schema=False)
async def page() -> Response:
    """The page."""
    return _asset("docs.html")


@router.get("/docs/{name}", include_in_schema=False)
async def asset(name: str) -> Response:
    """What the page loads."""
    return _asset(name)


def _asset(name: str) -> Response:
    if name not in MEDIA_TYPES:
        raise NotFound("There is no such path.", code="not_found")
    content = files("edgevlm_server").joinpath(f"docs/{name}").read_bytes()
    return Response(content, media_type=MEDIA_TYPES[name], headers=HEADERS)
