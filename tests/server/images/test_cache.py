"""The image cache: never another picture's features, bounded, shared while they are made, failures not kept."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgevlm_engines import Floats
from edgevlm_server.errors import MakeError
from edgevlm_server.images.cache import FeatureCache
from hypothesis import given
from hypothesis import strategies as st

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import SlowSight

Bundles = Callable[[str], Path]


def features(key: int) -> Floats:
    return np.full((key + 1, 4), key, np.float32)  # 16 bytes a slot


@pytest.mark.slow
@given(st.lists(st.integers(0, 7), max_size=60), st.integers(0, 300))
def test_like_a_dictionary_that_forgets_the_least_recently_used(keys: list[int], max_bytes: int) -> None:
    async def play() -> None:
        cache, made = FeatureCache(max_bytes), []
        kept: list[int] = []  # oldest first: what must be in the cache

        async def make(key: int) -> Floats:
            made.append(key)
            return features(key)

        for key in keys:
            before = len(made)
            got, known = await cache.get(str(key), lambda key=key: make(key))  # type: ignore[misc]
            np.testing.assert_array_equal(got, features(key))
            assert known == (key in kept) == (len(made) == before)
            if key in kept:
                kept.remove(key)
            if features(key).nbytes <= max_bytes:
                kept.append(key)
            while sum(features(k).nbytes for k in kept) > max_bytes:
                kept.pop(0)

    asyncio.run(play())


def test_who_asks_while_it_is_made_shares_it_and_may_leave() -> None:
    async def play() -> None:
        cache, gate, made = FeatureCache(1000), asyncio.Event(), 0

        async def make() -> Floats:
            nonlocal made
            made += 1
            await gate.wait()
            return features(1)

        waiting = [asyncio.create_task(cache.get("a", make)) for _ in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # the one who began it
        gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        for result in results[1:]:
            assert not isinstance(result, BaseException)
            np.testing.assert_array_equal(result[0], features(1))
            assert result[1]
        assert made == 1

    asyncio.run(play())


def test_work_that_nobody_waits_for_any_more_ends() -> None:
    async def play() -> None:
        cache = FeatureCache(1000)
        ended: list[str] = []

        async def make() -> Floats:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("given up")
            raise AssertionError("nothing sets the event")

        waiting = [asyncio.create_task(cache.get("a", make)) for _ in range(2)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await asyncio.sleep(0.01)
        assert ended == []
        waiting[1].cancel()
        await asyncio.sleep(0.01)
        assert ended == ["given up"]

        async def again() -> Floats:
            return features(1)

        assert (await cache.get("a", again))[1] is False

    asyncio.run(play())


def test_a_failure_reaches_everyone_and_is_not_kept() -> None:
    async def play() -> None:
        cache, fail = FeatureCache(1000), True

        async def make() -> Floats | MakeError:
            await asyncio.sleep(0)
            return (lambda: ValueError("broken")) if fail else features(1)

        results = await asyncio.gather(*(cache.get("a", make) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [ValueError] * 3
        assert len({id(result) for result in results}) == 3, "one object would gather the tracebacks of all"
        fail = False
        assert (await cache.get("a", make))[1] is False
        assert (await cache.get("a", make))[1] is True

    asyncio.run(play())


def ask(server: LiveServer, *parts: dict[str, Any]) -> str:
    reply = server.client.post("/v1/chat/completions", json={"messages": user(*parts, text_part("Q"))})
    text: str = reply.json()["choices"][0]["message"]["content"]
    return text


@pytest.mark.slow
def test_the_same_frame_from_many_clients_is_encoded_once(bundles: Bundles) -> None:
    engine = SlowSight(bundles("v2"), slots=4)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        frame, other = image_part(data_url((1, 2, 3))), image_part(data_url((3, 2, 1)))
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: ask(server, frame), range(6)))
        assert engine.encoded == 1
        assert len(set(answers)) == 1
        assert ask(server, other) != answers[0]
        assert ask(server, frame) == answers[0]
        assert ask(server, frame, other) != ask(server, other, frame)
        assert engine.encoded == 2
        metrics = server.metrics()
        assert metrics["edgevlm_mm_cache_queries_total"] == 12
        assert metrics["edgevlm_mm_cache_hits_total"] == 10


@pytest.mark.slow
def test_near_misses_are_misses(bundles: Bundles) -> None:
    """Equal in size, in pixels or in colour, but never all three: each is a picture of its own."""
    engine = SlowSight(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        shapes = [((9, 9, 9), (30, 100)), ((9, 9, 9), (100, 30)), ((9, 9, 8), (30, 100)), ((9, 9, 9), (31, 100))]
        answers = [ask(server, image_part(data_url(colour, size))) for colour, size in shapes]
        assert engine.encoded == 4
        assert len(set(answers)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("case", ["v1", "v2"])
def test_answers_are_the_same_with_and_without_the_cache(bundles: Bundles, case: str) -> None:
    pictures = [image_part(data_url((40 * n, 90, 200 - 30 * n))) for n in (0, 1, 0, 2, 1, 0)]
    with LiveServer.on_bundle(bundles(case), max_length=500, image_cache=0) as server:
        without = [ask(server, picture) for picture in pictures]
        assert server.metrics()["edgevlm_mm_cache_hits_total"] == 0
    with LiveServer.on_bundle(bundles(case), max_length=500) as server:
        assert [ask(server, picture) for picture in pictures] == without
        assert server.metrics()["edgevlm_mm_cache_hits_total"] == 3
