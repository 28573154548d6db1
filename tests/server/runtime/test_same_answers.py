"""Eight clients at once, caches on: every answer is the one that the same request gets alone, with no caches."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, SCENES, draw_scene
from edgevlm_engines.names import Precision
from edgevlm_export.exporter import export_bundle

from tests.live import LiveServer
from tests.pictures import image_part, png_url, text_part, user

REQUESTS = 48
ANSWERS = 3_000
CLIENTS = 8
SYSTEMS = (None, "You are a helpful assistant in a factory.", "Answer briefly.")
COLOURS = ["red", "green", "blue", "no colour at all"]
COUNTED = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 99}, "colour": {"enum": COLOURS}},
    "required": ["count", "colour"],
    "additionalProperties": False,
}
WISHES: tuple[dict[str, Any], ...] = (
    *({}, {}, {}, {}),
    {"repetition_penalty": 1.3},
    {"presence_penalty": 1.5, "frequency_penalty": -0.5},
    {"logit_bias": {"300": 8, "310": -100}},
    {"min_p": 0.02, "temperature": 1.7, "seed": 5},
    {"min_tokens": 5, "max_tokens": 12},
    {"ignore_eos": True},
    {"n": 3, "temperature": 1.5, "seed": 9},
    {"logprobs": True, "top_logprobs": 3},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "counted", "schema": COUNTED}}},
    {"response_format": {"type": "json_object"}, "temperature": 1.2, "seed": 2},
    {"guided_choice": COLOURS, "logprobs": True, "top_logprobs": 2},
    {"guided_regex": "[a-z]{3,8}( [a-z]{2,5}){0,3}", "stop": ["e "], "n": 2, "temperature": 1.0, "seed": 4},
)

Body = dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Precision], Path]]:
    def exported(precision: Precision) -> Path:
        folder = tmp_path_factory.mktemp("demo") / precision
        export_bundle(checkpoint_folder(), folder, vision_tower=clip_folder(), precision=precision)
        return folder

    yield exported


def requests() -> list[Body]:
    """Pictures that several ask about, none to two of them, system texts, turns, lengths, greedy and seeded."""
    random = Random(11)
    scenes = [draw_scene(SCENES[n % len(SCENES)], FIRST_EVALUATION_SEED + n) for n in range(6)]
    urls = [png_url(scene.image) for scene in scenes]
    bodies = []
    for number in range(REQUESTS):
        scene = random.choice(scenes)
        pictures = [image_part(urls[scenes.index(scene)])] * random.choice((0, 1, 1, 1, 2))
        question = random.choice(scene.questions).text + " please" * random.randrange(4)
        messages: list[Body] = user(*pictures, text_part(question))
        if random.random() < 0.4:
            messages += [{"role": "assistant", "content": "42"}, *user(text_part("Are you sure?"))]
        if (system := random.choice(SYSTEMS)) is not None:
            messages = [{"role": "system", "content": system}, *messages]
        sampling = {"temperature": 2.0, "seed": number, "top_p": 0.99} if random.random() < 0.6 else {}
        wishes = random.choice(WISHES)
        bodies.append({"messages": messages, "max_tokens": random.choice((1, 8, 30)), **sampling, **wishes})
    return bodies


def asked(server: LiveServer, body: Body) -> str:
    """All that is in an answer but its name, its time, and how much of the prompt was known."""
    reply = server.client.post("/v1/chat/completions", json=body).json()
    return json.dumps([reply["choices"], reply["usage"]["completion_tokens"]])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_an_answer_does_not_depend_on_load_or_caches(
    demo: Callable[[Precision], Path], precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevlm_server.guided.compiler.SECONDS", 120.0)
    bundle, bodies = demo(precision), requests()
    with LiveServer.on_bundle(bundle, image_cache=0, prefix_cache=0) as server:
        alone = [asked(server, body) for body in bodies]
        assert server.metrics()["edgevlm_prefix_cache_hits_total"] == 0
    assert len(set(alone)) > REQUESTS / 4
    order = [Random(7).randrange(REQUESTS) for _ in range(ANSWERS)]
    # a cache that is too small for all of it, so that things are dropped and made again
    with LiveServer.on_bundle(bundle, max_batch=6, image_cache=300_000, prefix_cache=6 * 2**20) as server:
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(lambda number: asked(server, bodies[number]), order))
        metrics = server.metrics()
    wrong = [number for number, answer in zip(order, answers, strict=True) if answer != alone[number]]
    assert not wrong
    hits, queries = metrics["edgevlm_prefix_cache_hits_total"], metrics["edgevlm_prefix_cache_queries_total"]
    assert 0.2 < hits / queries < 1
    assert metrics["edgevlm_requests_completed_total"] == sum(bodies[number].get("n", 1) for number in order)
