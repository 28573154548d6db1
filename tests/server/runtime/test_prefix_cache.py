"""What the prefix cache puts into a slot is what computing it would have put there, whatever was kept and dropped."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from edgevlm_engines import IMAGE_TOKEN, Tokens
from edgevlm_engines.echo import EchoEngine
from edgevlm_server.runtime.prefix_cache import PrefixCache, named_chunks
from edgevlm_server.runtime.sequence import Sequence, chunk_ends
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.engines import echo_engine

IMAGE_TOKENS = 5
CHUNK = 8
POSITION_BYTES = 8  # of the echo engine
CHUNK_BYTES = POSITION_BYTES * CHUNK
ROWS = 3


@pytest.fixture
def engine() -> EchoEngine:
    return echo_engine(ROWS, IMAGE_TOKENS, CHUNK)


def digest(picture: int) -> str:
    return hashlib.sha256(bytes([picture])).hexdigest()


def sequence(engine: EchoEngine, parts: list[int]) -> Sequence:
    """Parts up to 99 are tokens, the others pictures."""
    pictures = [part for part in parts if part > 99]
    tokens = [[part] if part <= 99 else [IMAGE_TOKEN] * IMAGE_TOKENS for part in parts]
    features = np.repeat(np.array(pictures, np.float32), IMAGE_TOKENS)[:, np.newaxis]
    wide = np.repeat(features, engine.info.hidden_size, axis=1)
    prompt = np.array([token for part in tokens for token in part], np.int64)
    return Sequence(prompt, wide, 4, frozenset(), images=tuple(digest(one) for one in pictures))


def compute(engine: EchoEngine, one: Sequence) -> None:
    while one.prompt_left:
        tokens, features = one.chunk(CHUNK)
        engine.prefill(one.slot, one.computed, tokens, features)
        one.computed += len(tokens)


def content(engine: EchoEngine, one: Sequence) -> Tokens:
    """What stands at the positions of its slot."""
    held: Tokens = engine._slots[one.slot, : len(one.prompt)].copy()
    return held


def alone(engine: EchoEngine, parts: list[int]) -> Tokens:
    """What computing all of a prompt puts into a slot."""
    one = sequence(engine, parts)
    one.slot = ROWS - 1
    compute(engine, one)
    return content(engine, one)


def serve(engine: EchoEngine, cache: PrefixCache, parts: list[int], slot: int = 0) -> int:
    """Run one prompt as the batcher does; checks every position of its slot; the number that was reused."""
    one = sequence(engine, parts)
    one.slot = slot
    engine._slots[slot] = -1
    one.computed = one.reused = cache.restore(one)
    compute(engine, one)
    cache.keep(one)
    np.testing.assert_array_equal(content(engine, one), alone(engine, parts))
    return one.reused


part = st.one_of(st.integers(1, 3), st.integers(100, 102))
prompts = st.lists(st.lists(part, min_size=1, max_size=40), min_size=1, max_size=25)


def ends(engine: EchoEngine, parts: list[int]) -> list[int]:
    """Where a prompt may be taken up again: what is cut off last may go on otherwise in another prompt."""
    prompt = sequence(engine, parts).prompt
    return [end for end in chunk_ends(prompt, CHUNK) if end < len(prompt)]


@pytest.mark.slow
@given(prompts=prompts, most=st.sampled_from([0, 1, 8, 29, 60, 10_000]))
@settings(max_examples=150, deadline=None)
def test_never_a_wrong_hit_and_never_over_the_budget(prompts: list[list[int]], most: int) -> None:
    engine = echo_engine(ROWS, IMAGE_TOKENS, CHUNK)
    cache = PrefixCache(engine, most * POSITION_BYTES + 3)
    for number, parts in enumerate(prompts):
        reused = serve(engine, cache, parts, slot=number % (ROWS - 1))
        assert reused in (0, *ends(engine, parts))
        assert sum(segment.length for segment in cache._segments.values()) <= most
        # everything that is kept can be reached: the prompt just served is, as far as it fits
        again = serve(engine, cache, parts)
        assert again == max((end for end in ends(engine, parts) if end <= most), default=0)
    cache.clear()
    assert not cache._segments


@given(prompts=prompts, chunks=st.integers(1, 9))
@settings(deadline=None)
def test_what_is_kept_never_misses_what_comes_before_it(prompts: list[list[int]], chunks: int) -> None:
    engine = echo_engine(ROWS, IMAGE_TOKENS, CHUNK)
    cache = PrefixCache(engine, chunks * CHUNK_BYTES)
    reachable = set()
    for parts in prompts:
        serve(engine, cache, parts)
        one = sequence(engine, parts)
        names = [chunk.name for chunk in named_chunks(one.prompt, one.images, IMAGE_TOKENS, CHUNK)]
        reachable |= {(before, name) for before, name in pairwise(names)}
        for before, name in reachable:
            assert name not in cache._segments or before in cache._segments


def test_a_second_question_about_a_picture_reuses_all_that_comes_before_it(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 1 << 20)
    shared = [*range(1, 30), 100]
    assert serve(engine, cache, [*shared, 50, 51, 52]) == 0
    assert serve(engine, cache, [*shared, 60, 61, 62, 63]) == len(shared) - 1 + IMAGE_TOKENS


def test_another_picture_is_not_taken_for_the_same(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 1 << 20)
    serve(engine, cache, [*range(1, 17), 100, *range(20, 60)])
    assert serve(engine, cache, [*range(1, 17), 101, *range(20, 60)]) == 16


def test_one_position_is_always_left_to_compute_a_token_from(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 1 << 20)
    for length in range(1, 30):
        parts = [length, *range(1, length)]
        serve(engine, cache, parts)
        assert serve(engine, cache, parts) == (length - 1) // CHUNK * CHUNK


def test_what_was_used_longest_ago_goes_first(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 6 * CHUNK_BYTES)
    first, second, third, fourth = ([start] * 18 for start in (1, 2, 3, 4))
    for parts in (first, second, third, first, fourth):
        serve(engine, cache, parts)
    assert [serve(engine, cache, parts) for parts in (first, third, fourth)] == [16, 16, 16]
    assert serve(engine, cache, second) == 0


def test_of_a_prompt_that_is_too_long_the_beginning_is_kept(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 4 * CHUNK_BYTES)
    assert serve(engine, cache, list(range(1, 90))) == 0
    assert serve(engine, cache, list(range(1, 90))) == 4 * CHUNK
    # and it does not stay for ever
    serve(engine, cache, [5] * 40)
    assert serve(engine, cache, [5] * 40) == 4 * CHUNK


def test_no_memory_left_means_not_kept(engine: EchoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PrefixCache(engine, 1 << 20)
    room = iter([True, True])
    save = engine.save

    def full(slot: int, start: int, stop: int) -> object:
        if next(room, False):
            return save(slot, start, stop)
        raise MemoryError

    serve(engine, cache, [1] * 40)
    monkeypatch.setattr(engine, "save", full)
    serve(engine, cache, [1] * 40 + [2] * 40)
    assert serve(engine, cache, [1] * 40 + [2] * 40) == 7 * CHUNK


def test_a_picture_without_a_file_is_an_error(engine: EchoEngine) -> None:
    one = sequence(engine, [1, 100, 2])
    one.images = ()
    with pytest.raises(ValueError, match="zip"):
        PrefixCache(engine, 1 << 20).restore(one)


@given(st.data())
@settings(deadline=None)
def test_names_are_equal_exactly_where_content_is(data: st.DataObject) -> None:
    engine = echo_engine(ROWS, IMAGE_TOKENS, CHUNK)
    parts = [data.draw(st.lists(part, min_size=1, max_size=30)) for _ in range(2)]
    both = [sequence(engine, one) for one in parts]
    chunks = [named_chunks(one.prompt, one.images, IMAGE_TOKENS, CHUNK) for one in both]
    shown = [alone(engine, one) for one in parts]
    for mine, theirs in zip(*chunks, strict=False):
        same = mine.end == theirs.end and np.array_equal(shown[0][: mine.end], shown[1][: theirs.end])
        assert (mine.name == theirs.name) == same
