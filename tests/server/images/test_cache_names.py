"""Send once, ask many: a picture is known by its client's name for it, to that client alone, while it is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.images.cache import PictureNames
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.live import LiveServer
from tests.pictures import data_url, text_part, user
from tests.server.engines import SlowSight
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]
RED, GREEN = data_url((200, 0, 0)), data_url((0, 200, 0))


def part(name: str | None, url: str | None = None, **fields: Any) -> dict[str, Any]:
    given = {} if url is None else {"image_url": {"url": url}}
    return {"type": "image_url", **given, **({} if name is None else {"uuid": name}), **fields}


def post(server: LiveServer, *parts: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    body = {"messages": user(*parts, text_part("Q"))}
    return server.client.post("/v1/chat/completions", json=body, headers=headers)


def said(server: LiveServer, *parts: dict[str, Any], key: str | None = None) -> str:
    response = post(server, *parts, key=key)
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


@pytest.mark.slow
@pytest.mark.parametrize("alone", [{}, {"image_url": None}])
def test_a_name_alone_stands_for_the_picture(echo_server: LiveServer, alone: dict[str, Any]) -> None:
    red, green = said(echo_server, part("red", RED)), said(echo_server, part("green", GREEN))
    assert red != green
    assert said(echo_server, part("red", **alone)) == red
    assert said(echo_server, part("green", **alone)) == green
    both = said(echo_server, part(None, GREEN), part(None, RED))
    assert said(echo_server, part("green", **alone), part(None, RED)) == both


def test_a_name_given_again_means_the_newer_picture(echo_server: LiveServer) -> None:
    red, green = said(echo_server, part(None, RED)), said(echo_server, part(None, GREEN))
    assert said(echo_server, part("frame", RED)) == red
    assert said(echo_server, part("frame", GREEN)) == green
    assert said(echo_server, part("frame")) == green


def test_within_a_request_a_name_means_the_last_picture_given_so_far(echo_server: LiveServer) -> None:
    """Also where the first one takes longer, since the second is known already."""
    red, new = said(echo_server, part(None, RED)), data_url((1, 90, 17))
    said(echo_server, part("twice", new), part("twice", RED))
    assert said(echo_server, part("twice")) == red
    between = said(echo_server, part("x", GREEN), part("x"), part("x", RED), part("x"))
    assert between == said(echo_server, *(part(None, url) for url in (GREEN, GREEN, RED, RED)))


def test_an_unknown_name_is_a_404_that_says_what_to_do(echo_server: LiveServer) -> None:
    error = check_error(post(echo_server, part("never sent")), 404, "image_not_cached")
    assert error["param"] == "messages.0.content.0"
    assert "send it again" in error["message"]


@pytest.mark.slow
def test_a_second_question_by_name_encodes_nothing(bundles: Bundles) -> None:
    engine = SlowSight(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        first = said(server, part("a", RED))
        assert said(server, part("a")) == first
        assert engine.encoded == 1
        assert server.metrics()["edgevlm_mm_cache_hits_total"] == 1


@pytest.mark.slow
def test_a_client_cannot_reach_another_ones_picture(bundles: Bundles, tmp_path: Path) -> None:
    mine, theirs = add_key(tmp_path / "keys", "camera-1"), add_key(tmp_path / "keys", "camera-2")
    settings = Settings(engine="echo")
    server = LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys"))
    with server:
        red = said(server, part("frame", RED), key=mine)
        refused = post(server, part("frame"), key=theirs)
        check_error(refused, 404, "image_not_cached")
        # nothing in the answer tells whether somebody else has a picture of that name
        assert refused.json() == post(server, part("nobody's"), key=theirs).json()
        assert said(server, part("frame", GREEN), key=theirs) != red
        assert said(server, part("frame"), key=mine) == red


@pytest.mark.slow
def test_a_name_ends_with_the_features_it_stands_for(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        size = server.service.loaded().model.engine.info
        one = size.image_tokens * size.hidden_size * 4
    with LiveServer.on_bundle(bundles("v2"), engine="echo", image_cache=one) as server:
        red = said(server, part("red", RED))
        assert said(server, part("red")) == red
        said(server, part("green", GREEN))
        check_error(post(server, part("red")), 404, "image_not_cached")
        assert said(server, part("red", RED)) == red
    with LiveServer.on_bundle(bundles("v2"), engine="echo", image_cache=0) as server:
        said(server, part("red", RED))
        check_error(post(server, part("red")), 404, "image_not_cached")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "image_url"}, "messages.0.content.0"),
        ({"type": "image_url", "image_url": None, "uuid": None}, "messages.0.content.0"),
        ({"type": "image_url", "uuid": ""}, "messages.0.content.0.uuid"),
        ({"type": "image_url", "uuid": "x" * 129}, "messages.0.content.0.uuid"),
        ({"type": "image_url", "uuid": 7}, "messages.0.content.0.uuid"),
    ],
)
def test_what_is_neither_picture_nor_name_is_refused(
    echo_server: LiveServer, given: dict[str, Any], param: str
) -> None:
    assert check_error(post(echo_server, given), 400, "invalid_value")["param"] == param


def test_a_picture_that_is_refused_gets_no_name(echo_server: LiveServer) -> None:
    check_error(post(echo_server, part("broken", "data:image/png;base64,aGVsbG8=")), 400, "image_unsupported")
    check_error(post(echo_server, part("broken")), 404, "image_not_cached")


def test_a_client_that_uses_many_names_loses_only_its_own() -> None:
    names = PictureNames(most=3)
    names.put("quiet", "mine", "00")
    for number in range(10):
        names.put("busy", str(number), f"{number:02}")
        assert names.get("busy", "0") == "00"  # in use, so it stays
    assert [names.get("busy", str(number)) for number in (7, 8, 9)] == [None, "08", "09"]
    assert names.get("quiet", "mine") == "00"
    assert names.get("busy", "mine") is None
