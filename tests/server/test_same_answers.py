"""Eight clients at once, caches on: every answer is the one that the same request gets alone, with no caches."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, SCENES, draw_scene
from edgevlm_engines.manifest import Precision
from edgevlm_export.exporter import export_bundle

from tests.live import LiveServer
from tests.pictures import image_part, png_url, text_part, user

REQUESTS = 48
ANSWERS = 3_000
CLIENTS = 8
SYSTEMS = (None, "You are a helpful assistant in a factory.", "Answer briefly.")

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
        bodies.append({"messages": messages, "max_tokens": random.choice((1, 8, 30)), **sampling})
    return bodies


def asked(server: LiveServer, body: Body) -> tuple[str, str, int]:
    reply = server.client.post("/v1/chat/completions", json=body).json()
    choice = reply["choices"][0]
    return choice["message"]["content"], choice["finish_reason"], reply["usage"]["completion_tokens"]


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_an_answer_does_not_depend_on_load_or_caches(demo: Callable[[Precision], Path], precision: Precision) -> None:
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
    assert metrics["edgevlm_requests_completed_total"] == ANSWERS
