"""Images among a message's parts: the names that clients use for them, how many there may be, and their order."""

import base64
from typing import Any

import httpx
import pytest

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user

URL = data_url()


def ask(server: LiveServer, *parts: dict[str, Any]) -> httpx.Response:
    body = {"messages": user(*parts), "max_tokens": 8}
    return server.client.post("/v1/chat/completions", json=body)


def said(server: LiveServer, *parts: dict[str, Any]) -> str:
    response = ask(server, *parts)
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": URL},
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
        {"type": "input_image", "image_url": URL},
        {"type": "input_image", "image_url": URL, "detail": "auto"},
        {"type": "input_image", "image_url": {"url": URL}},
        {"type": "input_image", "image_url": URL.partition(",")[2]},
    ],
)
def test_every_name_of_an_image_part(echo_server: LiveServer, part: dict[str, Any]) -> None:
    expected = said(echo_server, image_part(URL), text_part("Q"))
    assert said(echo_server, part, text_part("Q")) == expected
    assert said(echo_server, part, {"type": "input_text", "text": "Q"}) == expected


@pytest.mark.parametrize(
    "kind", ["image", "image_file", "input_file", "input_audio", "video_url", 5, None, ["text"], {}]
)
def test_other_parts_are_refused_with_the_names_that_are_taken(echo_server: LiveServer, kind: Any) -> None:
    response = ask(echo_server, {"type": kind, "image_url": URL}, text_part("Q"))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "messages.0.content.0"
    assert "'text', 'input_text', 'image_url', 'input_image' or 'refusal'" in error["message"]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "invalid_value", ""),
        ({"image_url": None}, "invalid_value", ""),
        ({"file_id": "file-1"}, "unsupported_parameter", "file_id"),
        ({"image_url": URL, "file_id": "file-1"}, "unsupported_parameter", "file_id"),
        ({"image_url": ""}, "invalid_value", ""),
        ({"image_url": {}}, "invalid_value", ""),
        ({"image_url": {"url": None}}, "invalid_value", ""),
    ],
)
def test_an_image_part_without_its_image(
    echo_server: LiveServer, fields: dict[str, Any], code: str, param: str
) -> None:
    response = ask(echo_server, {"type": "input_image", **fields}, text_part("Q"))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == (code, f"messages.0.content.0.{param}".rstrip("."))


def test_as_many_images_as_are_allowed_in_their_order(echo_server: LiveServer) -> None:
    parts = [image_part(data_url((30 * n, 250 - 30 * n, 90))) for n in range(8)]
    answers = {said(echo_server, *parts[n:], *parts[:n], text_part("Q")) for n in range(8)}
    assert len(answers) == 8  # each order is another request
    usage = ask(echo_server, *parts, text_part("Q")).json()["usage"]
    assert usage["prompt_tokens"] > 8 * 144


def test_images_and_texts_may_take_turns(echo_server: LiveServer) -> None:
    red, green = image_part(data_url((200, 0, 0))), image_part(data_url((0, 200, 0)))
    first = said(echo_server, red, text_part("a"), green, text_part("b"))
    assert "\nb" in first and "\na" not in first, "the echo engine repeats the end of the prompt"
    assert first != said(echo_server, red, green, text_part("a"), text_part("b"))
    assert first != said(echo_server, green, text_part("a"), red, text_part("b"))


def test_pictures_on_one_side_of_the_text_come_first_as_the_models_were_trained(echo_server: LiveServer) -> None:
    red, green = image_part(data_url((200, 0, 0))), image_part(data_url((0, 200, 0)))
    first = said(echo_server, red, green, text_part("a"), text_part("b"))
    assert first == said(echo_server, text_part("a"), text_part("b"), red, green)


@pytest.mark.parametrize(
    "empty", [{"image_url": ""}, {"image_url": {}}, {"image_url": {"url": ""}}, {"image_url": None}, {}]
)
@pytest.mark.parametrize("kind", ["image_url", "input_image"])
def test_a_name_beside_an_empty_picture_is_the_name_of_one_sent_before(
    echo_server: LiveServer, kind: str, empty: dict[str, Any]
) -> None:
    expected = said(echo_server, {**image_part(URL), "uuid": "frame 8"}, text_part("Q"))
    assert said(echo_server, {"type": kind, "uuid": "frame 8", **empty}, text_part("Q")) == expected


def test_how_base64_is_written_makes_no_difference_to_the_cache(echo_server: LiveServer) -> None:
    """The same file in another spelling is the same picture: it is not encoded again."""
    data = base64.b64decode(data_url((1, 2, 3)).partition(",")[2])
    spellings = [
        base64.b64encode(data).decode(),
        base64.encodebytes(data).decode().replace("\n", "\r\n"),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        "data:image/jpeg;BASE64," + base64.b64encode(data).decode(),
        "DATA:;charset=utf-8;base64," + base64.encodebytes(data).decode(),
    ]
    before = echo_server.metrics()["edgevlm_mm_cache_hits_total"]
    assert len({said(echo_server, image_part(spelling), text_part("Q")) for spelling in spellings}) == 1
    assert echo_server.metrics()["edgevlm_mm_cache_hits_total"] == before + len(spellings) - 1
