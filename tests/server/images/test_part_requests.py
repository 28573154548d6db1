"""Parts of pictures on every route: as if the file had been cut beforehand, decoded once, and known again."""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from edgevlm_engines import Floats
from edgevlm_server.images.region import Region
from edgevlm_server.request import Client, Picture
from PIL import Image

from tests.live import LiveServer
from tests.pictures import png_url, text_part, user
from tests.server.engines import SlowSight, until
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]
DECODED = "edgevlm_image_decode_seconds_count"
QUARTERS = {"red": "0,0,60,40", "lime": "60,0,60,40", "blue": "0,40,60,40", "white": "pct:50,50,50,50"}


def picture(shade: int = 0) -> Image.Image:
    made = Image.new("RGB", (120, 80), (shade, shade, shade))
    for colour, (x, y) in zip(QUARTERS, ((0, 0), (60, 0), (0, 40), (60, 40)), strict=True):
        made.paste(Image.new("RGB", (60, 40), colour), (x, y))
    made.putpixel((0, 0), (shade, 1, 1))
    return made


PICTURE = picture()
URL = png_url(PICTURE)


def part(url: str | None = URL, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", **({} if url is None else {"image_url": {"url": url}}), **fields}


def post(server: LiveServer, *parts: dict[str, Any]) -> httpx.Response:
    body = {"messages": user(*parts, text_part("Q")), "max_tokens": 8}
    return server.client.post("/v1/chat/completions", json=body)


def said(server: LiveServer, *parts: dict[str, Any]) -> str:
    response = post(server, *parts)
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


class Watched(SlowSight):
    """Remembers what it has seen."""

    def __init__(self, bundle: Path) -> None:
        super().__init__(bundle, slots=4)
        self.seen: list[Floats] = []

    def encode_images(self, pixels: Floats) -> Floats:
        self.seen.append(pixels[0].copy())
        return super().encode_images(pixels)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "beforehand"),
    [
        ({"crop": "13,7,50,60"}, PICTURE.crop((13, 7, 63, 67))),
        ({"crop": "pct:50,50,50,50"}, PICTURE.crop((60, 40, 120, 80))),
        ({"crop": "119,79,1,1"}, PICTURE.crop((119, 79, 120, 80))),
        ({"rotate": 90}, PICTURE.transpose(Image.Transpose.ROTATE_270)),
        ({"rotate": "-90", "crop": "0,0,60,40"}, PICTURE.crop((0, 0, 60, 40)).transpose(Image.Transpose.ROTATE_90)),
        ({"deskew": "10,10 70,10 70,60 10,60"}, PICTURE.crop((10, 10, 70, 60))),
        ({"crop": "0,0,120,80"}, PICTURE),
        ({"crop": "pct:0,0,100,100", "rotate": 0, "deskew": ""}, PICTURE),
    ],
)
def test_the_model_sees_what_it_would_see_of_a_file_cut_beforehand(
    bundles: Bundles, fields: dict[str, Any], beforehand: Image.Image
) -> None:
    engine = Watched(bundles("v2"))
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        of_part, of_file = said(server, part(**fields)), said(server, part(png_url(beforehand)))
    assert of_part == of_file
    assert all(np.array_equal(engine.seen[0], one) for one in engine.seen)


@pytest.mark.slow
def test_parts_of_one_picture_are_decoded_once_and_stay_apart(bundles: Bundles) -> None:
    engine = Watched(bundles("v2"))
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        two = [part(crop=crop) for crop in list(QUARTERS.values())[:2]]
        together = said(server, *two, part())
        assert server.metrics()[DECODED] == 1
        means = [one.reshape(3, -1).mean(axis=1) for one in engine.seen]
        assert len({tuple(mean.round(2)) for mean in means}) == len(engine.seen) == 3
        # each is in the cache, and each has a name of its own in front of a prompt
        again = said(server, *two, part())
        assert (server.metrics()[DECODED], len(engine.seen), again) == (1, 3, together)
        alone = [said(server, part(crop=crop)) for crop in QUARTERS.values()]
    with LiveServer.on_bundle(bundles("v2"), engine="echo", prefix_cache=0, image_cache=0) as server:
        assert [said(server, part(crop=crop)) for crop in QUARTERS.values()] == alone
    assert len(set(alone)) == 4


@pytest.mark.slow
def test_more_parts_than_one_decoding_gives_come_in_several(bundles: Bundles) -> None:
    crops = [f"{n},{n},20,20" for n in range(12)]
    pictures = [Picture(_png(PICTURE), place="image", region=Region.parse(crop=crop)) for crop in crops]
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        encoding = server.service.loaded().pictures.encode(pictures, Client(None, "a"))
        images = asyncio.run_coroutine_threadsafe(encoding, server.loop).result(30)
        assert server.metrics()[DECODED] == 2
    assert len(set(images.files)) == 12


@pytest.mark.slow
def test_one_outside_of_the_picture_is_refused_and_hurts_no_other(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(post, server, part(crop=f"{n},0,61,80")) for n in range(56, 64)]
        replies = [one.result() for one in asked]
        for number, reply in zip(range(56, 64), replies, strict=True):
            if number + 61 <= 120:
                assert reply.status_code == 200
                continue
            error = check_error(reply, 400, "image_region_outside")
            assert error["param"] == "messages.0.content.0" and "120 x 80 pixels" in error["message"]
        until(lambda: server.service.admission.inside == 0, "the places to be given back")


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"crop": "1,2,3"}, "crop", "x,y,width,height"),
        ({"crop": [1, 2, 3, 4]}, "crop", "string"),
        ({"crop": "0,0,1,1" + " " * 300}, "crop", "at most"),
        ({"rotate": "upside down"}, "rotate", "degrees"),
        ({"rotate": 400}, "rotate", "-360 to 360"),
        ({"deskew": "0,0 10,10 10,0 0,10"}, "deskew", "convex"),
        ({"crop": "0,0,1,1", "deskew": "0,0 1,0 1,1 0,1"}, None, "beside 'crop'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    echo_server: LiveServer, fields: dict[str, Any], param: str | None, says: str
) -> None:
    where = "messages.0.content.0" + ("" if param is None else f".{param}")
    for route in ("/v1/chat/completions", "/tokenize"):
        reply = echo_server.client.post(route, json={"messages": user(part(**fields), text_part("Q"))})
        error = check_error(reply, 400, "invalid_value")
        assert error["param"].startswith(where) and says in error["message"]


@pytest.mark.slow
def test_a_name_does_not_stand_for_a_part_that_was_not_sent(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        left = said(server, part(uuid="frame", crop="0,0,60,80"))
        for other in ({"crop": "0,0,60,79"}, {"crop": "0,0,60,80", "rotate": 1}):
            error = check_error(post(server, part(None, uuid="frame", **other)), 404, "image_not_cached")
            assert "part" in error["message"] and "send it again" in error["message"]
        check_error(post(server, part(None, uuid="frame")), 404, "image_not_cached")
        # the name is still good for what it was good for
        assert said(server, part(None, uuid="frame", crop="0,0,60,80")) == left


@pytest.mark.slow
def test_within_a_request_a_name_stands_for_any_part(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        by_name = said(server, part(uuid="a", crop="0,0,60,40"), part(None, uuid="a", crop="60,0,60,40"))
        assert server.metrics()[DECODED] == 1
        assert by_name == said(server, part(crop="0,0,60,40"), part(crop="60,0,60,40"))


@pytest.mark.slow
def test_the_responses_route_takes_parts(echo_server: LiveServer) -> None:
    def asked(**image: Any) -> Any:
        content = [{"type": "input_image", **image}, {"type": "input_text", "text": "Q"}]
        body = {"input": [{"role": "user", "content": content}], "max_output_tokens": 8}
        return echo_server.client.post("/v1/responses", json=body).json()["output"][0]["content"][0]["text"]

    cut = png_url(PICTURE.crop((60, 0, 120, 40)))
    assert asked(image_url=URL, crop="60,0,60,40") == asked(image_url=cut) != asked(image_url=URL)


def test_decisions_are_about_parts(echo_server: LiveServer) -> None:
    def asked(**image: Any) -> Any:
        body = {
            "input": [{"role": "user", "content": [{"type": "input_image", **image}]}],
            "questions": [{"type": "predicate", "instructions": "Is it red?"}],
        }
        reply = echo_server.client.post("/v1/decisions", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()["answers"]

    cut = png_url(PICTURE.crop((0, 0, 60, 40)))
    assert asked(image_url=URL, crop="0,0,60,40") == asked(image_url=cut)


def test_a_form_takes_a_part_of_each_of_its_pictures(echo_server: LiveServer) -> None:
    def asked(*images: Image.Image, **fields: str) -> str:
        files = [("image", ("part.png", _png(image))) for image in images]
        reply = echo_server.client.post("/ask", files=files, data={"question": "Q", "max_tokens": "8", **fields})
        assert reply.status_code == 200, reply.text
        return reply.text

    turned = picture(90).transpose(Image.Transpose.ROTATE_180)
    crop = {"crop": "0,0,60,40", "rotate": "90"}
    quarters = [image.crop((0, 0, 60, 40)).transpose(Image.Transpose.ROTATE_270) for image in (PICTURE, turned)]
    assert asked(PICTURE, turned, **crop) == asked(*quarters)
    # what a browser sends for a field that is left empty
    assert asked(PICTURE, crop="", rotate="", deskew="") == asked(PICTURE)
    bad = echo_server.client.post("/ask", files={"image": _png(PICTURE)}, data={"question": "Q", "crop": "all"})
    assert check_error(bad, 400, "invalid_value")["param"] == "crop"


def test_positions_are_counted_alike(echo_server: LiveServer) -> None:
    def count(**fields: Any) -> int:
        body = {"messages": user(part(**fields), text_part("Q"))}
        reply = echo_server.client.post("/v1/chat/completions/input_tokens", json=body)
        assert reply.status_code == 200, reply.text
        tokens: int = reply.json()["input_tokens"]
        return tokens

    assert count(crop="pct:0,0,10,10", rotate=45) == count()


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
