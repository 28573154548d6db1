"""SECURITY.md's table of limits is the code's, and what is over a limit is refused."""

import ast
from typing import Any

import pytest
from edgevlm_engines import size_text
from edgevlm_server import stations
from edgevlm_server.guided.compiler import MOST_BYTES, THOROUGH
from edgevlm_server.guided.sandbox import MAX_BYTES
from edgevlm_server.http.body.json_body import MAX_REST
from edgevlm_server.http.transport.heads import MAX_HEAD
from edgevlm_server.images.formats.limits import FORMATS, ImageLimits
from edgevlm_server.options import flag
from edgevlm_server.runtime.bodies import ROOM, SMALL_BODY
from edgevlm_server.settings import OPTIONS, Settings

from tests.boundaries.walls import ROOMS
from tests.docs.pages import code, read, section, table
from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user

TEXT = read("SECURITY.md")


def constant(name: str) -> Any:
    """The value of the server's one constant of this name."""
    found = [
        ast.literal_eval(node.value)
        for path in ROOMS["edgevlm_server"].rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    ]
    [value] = found
    return value


def limits() -> dict[str, str]:
    """What the table must say."""
    settings, images = Settings(), ImageLimits()
    return {
        "open connections": str(settings.max_connections),
        "open connections of one address": str(settings.max_connections_per_address),
        "time for the head of a request to arrive": f"{settings.head_timeout:g} s",
        "time that an idle connection is kept": f"{settings.keep_alive:g} s",
        "one body": size_text(settings.max_body),
        "time for a body to arrive": f"{constant('BODY_SECONDS'):g} s",
        "large bodies on their way together": f"{10 * ROOM:g} bodies of the largest size for 10 places",
        "head of a request": size_text(MAX_HEAD),
        "rest of a body whose request is answered": f"{constant('REST_SECONDS'):g} s, and ten times the largest body",
        "values in a JSON body": str(constant("MAX_VALUES")),
        "a JSON body without its long texts and pictures": size_text(MAX_REST),
        "one text, and all texts of a chat": f"{constant('MAX_TEXT')} characters",
        "messages of a chat": str(constant("MAX_MESSAGES")),
        "parts of a message": str(constant("MAX_PARTS")),
        "fields of a form": str(constant("MAX_FIELDS")),
        "fields read in one request": str(constant("MOST_FIELDS")),
        "pictures, and parts of pictures, that they look at": str(constant("MOST_VIEWS")),
        "stations": f"{constant('MAX_STATIONS')}, of {size_text(stations.MAX_BYTES)} each",
        "answers to one request": str(constant("MAX_ANSWERS")),
        "pictures of one request": str(settings.max_images),
        "file of one picture": size_text(images.max_bytes),
        "megapixels of one picture": ", ".join(f"{one} {images.most_pixels(one) / 1e6:.1f}" for one in FORMATS),
        "processor time to decode a picture": f"{settings.image_timeout:g} s",
        "memory of the process that decodes": size_text(images.memory_bytes),
        "time to fetch a picture": f"{images.fetch_seconds:g} s",
        "pictures fetched at once": str(constant("AT_ONCE")),
        "pictures fetched at once from one host": str(constant("AT_ONE_HOST")),
        "stop strings": "4, of 64 characters",
        "one JSON schema": f"{constant('MAX_SIZE')} characters",
        "levels of a JSON schema": str(constant("MAX_DEPTH")),
        "memory of one compiled schema, or other form of an answer": size_text(MAX_BYTES),
        "memory of all of them": size_text(MOST_BYTES),
        "processor time to compile one": f"{THOROUGH:g} s",
        "requests that wait": str(settings.max_queue),
        "time for a whole request": "none" if settings.request_timeout is None else "?",
        "one client's requests at once": "none" if settings.limit_requests_at_once is None else "?",
        "one client's requests in 60 seconds": "none" if settings.limit_requests_per_minute is None else "?",
        "one client's tokens in 60 seconds": "none" if settings.limit_tokens_per_minute is None else "?",
        "one client's pictures in the cache": "none" if settings.limit_pictures_kept is None else "?",
        "one step of the engine": f"{settings.engine_timeout:g} s",
    }


@pytest.mark.slow
def test_limits_are_those_of_the_code() -> None:
    rows = table(section(TEXT, "Limits"))
    assert {what: limit for what, limit, _ in rows} == limits()
    options = {name for _, _, option in rows for name in code(option)}
    assert options <= {flag(name) for name in OPTIONS}
    assert f"after {constant('GRACE_SECONDS'):g} s at the earliest" in TEXT
    assert f"Bodies of up to {size_text(SMALL_BODY)} are" in TEXT


HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": ["a", "b", "c", "d"]},
        {"stop": "s" * 64},
        {"messages": HI * 63},
        {"messages": user(*[text_part("hi")] * 64)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_as_much_as_the_limit_is_taken(echo_server: LiveServer, fields: dict[str, Any]) -> None:
    body = {"messages": HI, "max_tokens": 1, **fields}
    assert echo_server.client.post("/v1/chat/completions", json=body).is_success


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": "s" * 65},
        {"n": 17},
        {"messages": HI * 1025},
        {"messages": user(*[text_part("hi")] * 65)},
        {"messages": [{"role": "user", "content": "h" * 32769}]},
        {"messages": user(*[image_part(data_url((shade, 0, 0))) for shade in range(9)])},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"const": "x" * 32768}}}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_more_than_the_limit_is_refused(echo_server: LiveServer, fields: dict[str, Any]) -> None:
    body = {"messages": HI, **fields}
    assert echo_server.client.post("/v1/chat/completions", json=body).status_code == 400
