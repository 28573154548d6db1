"""What the prefix cache puts into a row is what computing it would have put there, whatever was kept and dropped."""

import hashlib

import numpy as np
import pytest
from edgevlm_engines import IMAGE_TOKEN, Tokens
from edgevlm_engines.echo import EchoEngine
from edgevlm_server.prefix_cache import BLOCK, PrefixCache, block_names
from edgevlm_server.sequence import Sequence
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.engines import echo_engine

IMAGE_TOKENS = 5
POSITION = 8  # bytes of the echo engine's position
ROWS = 3


@pytest.fixture(scope="module")
def engine() -> EchoEngine:
    return echo_engine(rows=ROWS, image_tokens=IMAGE_TOKENS)


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
        tokens, features = one.chunk(16)
        engine.prefill(one.row, one.computed, tokens, features)
        one.computed += len(tokens)


def held(engine: EchoEngine, one: Sequence, length: int) -> Tokens:
    return engine._rows[one.row, :length].copy()


def serve(engine: EchoEngine, cache: PrefixCache, parts: list[int], row: int = 0) -> int:
    """Run one prompt as the batcher does; checks every position of its row; the number that was reused."""
    one = sequence(engine, parts)
    one.row = row
    engine._rows[row] = -1
    one.computed = one.reused = cache.restore(one)
    compute(engine, one)
    reference = sequence(engine, parts)
    reference.row = ROWS - 1
    compute(engine, reference)
    np.testing.assert_array_equal(held(engine, one, len(one.prompt)), held(engine, reference, len(one.prompt)))
    cache.keep(one)
    return one.reused


part = st.one_of(st.integers(1, 3), st.integers(100, 102))
prompts = st.lists(st.lists(part, min_size=1, max_size=40), min_size=1, max_size=25)


@given(prompts=prompts, budget=st.sampled_from([0, 8, 20, 50, 10_000]))
@settings(max_examples=150, deadline=None)
def test_never_a_wrong_hit_and_never_over_the_budget(prompts: list[list[int]], budget: int) -> None:
    engine = echo_engine(rows=ROWS, image_tokens=IMAGE_TOKENS)
    cache = PrefixCache(engine, budget * POSITION)
    for number, parts in enumerate(prompts):
        reused = serve(engine, cache, parts, row=number % (ROWS - 1))
        assert reused % BLOCK == 0
        assert sum(entry.segment.nbytes for entry in cache._entries) == cache._bytes <= budget * POSITION
        assert all(entry in cache._entries for entry in cache._owner.values())
        for entry in cache._entries:
            assert entry.children == sum(other.parent is entry for other in cache._entries)
    cache.clear()
    assert not cache._bytes and not cache._entries and not cache._owner


def test_a_second_question_about_a_picture_reuses_all_that_comes_before_it(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 1 << 20)
    shared = [*range(1, 30), 100]
    assert serve(engine, cache, [*shared, 50, 51, 52]) == 0
    assert serve(engine, cache, [*shared, 60, 61, 62, 63]) == (len(shared) - 1 + IMAGE_TOKENS) // BLOCK * BLOCK


def test_another_picture_is_not_taken_for_the_same(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 1 << 20)
    serve(engine, cache, [*range(1, 17), 100, *range(20, 60)])
    assert serve(engine, cache, [*range(1, 17), 101, *range(20, 60)]) == 16


def test_the_same_prompt_again_leaves_enough_to_compute_a_token_from(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 1 << 20)
    for length in range(1, 30):
        parts = [length, *range(1, length)]
        serve(engine, cache, parts)
        assert serve(engine, cache, parts) == max(0, (length - 2) // BLOCK * BLOCK)


def test_an_answer_is_part_of_the_next_turn(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 1 << 20)
    one = sequence(engine, list(range(1, 20)))
    one.row = 0
    compute(engine, one)
    for token in range(60, 72):
        one.generated.append(token)
        engine._rows[0, one.cached - 1] = one.generated[-2] if len(one.generated) > 1 else 19
    cache.keep(one)
    # the last token was never put into the cache
    assert serve(engine, cache, [*range(1, 20), *range(60, 72), 5, 6, 7]) == (19 + 11) // BLOCK * BLOCK


def test_what_was_used_longest_ago_goes_first(engine: EchoEngine) -> None:
    cache = PrefixCache(engine, 3 * 16 * POSITION)
    first, second, third, fourth = ([start] * 18 for start in (1, 2, 3, 4))
    for parts in (first, second, third, first, fourth):
        serve(engine, cache, parts)
    assert [serve(engine, cache, parts) for parts in (first, third, fourth)] == [16, 16, 16]
    assert serve(engine, cache, second) == 0


def test_no_memory_left_means_not_kept(engine: EchoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PrefixCache(engine, 1 << 20)

    def full(row: int, start: int, stop: int) -> None:
        raise MemoryError

    serve(engine, cache, [1] * 40)
    monkeypatch.setattr(engine, "save", full)
    serve(engine, cache, [1] * 40 + [2] * 40)
    monkeypatch.undo()
    assert serve(engine, cache, [1] * 40 + [2] * 40) == 40


@given(st.data())
@settings(deadline=None)
def test_names_are_equal_exactly_where_content_is(data: st.DataObject) -> None:
    engine = echo_engine(rows=1, image_tokens=IMAGE_TOKENS)
    one, other = (sequence(engine, data.draw(st.lists(part, min_size=1, max_size=30))) for _ in range(2))
    names = [block_names(s.prompt, s.images, IMAGE_TOKENS) for s in (one, other)]
    shown = [engine_view(engine, s) for s in (one, other)]
    for block, (mine, theirs) in enumerate(zip(*names, strict=False)):
        end = (block + 1) * BLOCK
        assert (mine == theirs) == np.array_equal(shown[0][:end], shown[1][:end])


def engine_view(engine: EchoEngine, one: Sequence) -> Tokens:
    one.row = 0
    compute(engine, one)
    return held(engine, one, len(one.prompt))
