"""Choosing a token: greedy, the three limits, and seeds."""

from collections import Counter

import numpy as np
import pytest
from edgevlm_engines import Floats
from edgevlm_server.runtime.sampling import NotFinite, Sampler, SamplingParams, sample_batch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from benchmarks.sampling import plain

LOGITS: Floats = np.log(np.array([0.5, 0.25, 0.15, 0.1], np.float32))


def draw(count: int = 4000, **params: float) -> Counter[int]:
    sampler = Sampler(SamplingParams(**{"temperature": 1.0, "seed": 1, **params}))  # type: ignore[arg-type]
    return Counter(sampler.sample(LOGITS) for _ in range(count))


def test_greedy_takes_the_largest_and_the_first_of_equals() -> None:
    assert Sampler(SamplingParams()).sample(np.array([1, 3, 3, 2], np.float32)) == 1


@pytest.mark.slow
def test_frequencies_follow_the_probabilities() -> None:
    counts = draw(20_000)
    np.testing.assert_allclose([counts[token] / 20_000 for token in range(4)], [0.5, 0.25, 0.15, 0.1], atol=0.02)


def test_temperature_sharpens_and_flattens() -> None:
    assert draw(temperature=0.25)[0] > 3600
    assert min(draw(temperature=2.0).values()) > 500


def test_top_k_keeps_the_k_largest() -> None:
    assert set(draw(top_k=2)) == {0, 1}
    assert set(draw(top_k=100)) == {0, 1, 2, 3}


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, {0}), (0.51, {0, 1}), (0.8, {0, 1, 2}), (1.0, {0, 1, 2, 3})])
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, kept: set[int]) -> None:
    assert set(draw(top_p=top_p)) == kept


@pytest.mark.parametrize("lower", [0, 2])
def test_top_p_counts_equals_whatever_stands_beside_them(lower: int) -> None:
    logits = np.full(26, 5.4375, np.float32)
    logits[:lower] = 0  # weighs next to nothing, but changes the order in which the others are summed
    sampler = Sampler(SamplingParams(temperature=0.16, top_p=0.5, seed=1))
    assert {sampler.sample(logits) for _ in range(500)} == set(range(lower, lower + (26 - lower) // 2))


def test_a_seed_fixes_the_answer() -> None:
    first, second, other = (
        [sampler.sample(LOGITS) for _ in range(50)]
        for sampler in (Sampler(SamplingParams(temperature=1.0, seed=seed)) for seed in (7, 7, 8))
    )
    assert first == second != other


def test_negative_seeds_are_seeds() -> None:
    one, two = (Sampler(SamplingParams(temperature=1.0, seed=seed)) for seed in (-1, -2))
    assert [one.sample(LOGITS) for _ in range(50)] != [two.sample(LOGITS) for _ in range(50)]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_broken_numbers_are_refused(broken: float, temperature: float) -> None:
    with pytest.raises(NotFinite):
        Sampler(SamplingParams(temperature=temperature)).sample(np.array([1, broken, 2], np.float32))


@given(
    numpy_st.arrays(np.float32, st.integers(1, 50), elements=st.floats(-100, 100, width=32)),
    st.floats(1e-3, 2),
    st.integers(0, 60),
    st.floats(1e-6, 1),
    st.integers(0, 2**63 - 1),
)
def test_whatever_is_asked_a_token_within_the_limits_comes_out(
    logits: Floats, temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    token = Sampler(params).sample(logits)
    larger = int((logits > logits[token]).sum())
    assert larger < (top_k or len(logits))


@st.composite
def params(draw: st.DrawFn) -> SamplingParams:
    return SamplingParams(
        temperature=draw(st.just(0.0) | st.floats(1e-3, 2) | st.floats(0, 1e-300, exclude_min=True)),
        top_p=draw(st.just(1.0) | st.floats(0, 1, exclude_min=True)),
        top_k=draw(st.just(0) | st.integers(1, 60)),
        seed=draw(st.integers(0, 2**63 - 1)),
    )


def compare(settings: list[SamplingParams], steps: list[Floats]) -> None:
    """Every row of every step gets the token that the plain way gives it, alone, with the same random numbers."""
    samplers = [Sampler(one) for one in settings]
    uniforms = [np.random.Generator(np.random.Philox(one.seed)) for one in settings]
    for logits in steps:
        expected = [
            # a row that is not drawn uses up no random number
            plain(one, uniform.random() if one.temperature and np.isfinite(row).all() else 0.0, row)
            for one, uniform, row in zip(settings, uniforms, logits, strict=True)
        ]
        assert sample_batch(samplers, logits) == expected


@given(st.data(), st.lists(params(), min_size=1, max_size=6), st.integers(1, 50))
def test_a_batch_gets_what_its_rows_would_get_alone(
    data: st.DataObject, settings: list[SamplingParams], size: int
) -> None:
    some = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-9, 9, width=32)
    ties = st.sampled_from([-1.0, -0.0, 0.0, 0.5])
    broken = st.sampled_from([np.nan, np.inf, -np.inf])
    elements = data.draw(st.sampled_from([some, ties, some | ties | broken]))
    steps = st.lists(numpy_st.arrays(np.float32, (len(settings), size), elements=elements), min_size=1, max_size=3)
    compare(settings, data.draw(steps))


@given(
    st.lists(params(), min_size=1, max_size=3),
    st.integers(0, 2**32),
    st.integers(1, 5000),
    st.floats(0, 6),
    st.sampled_from([0.0, 0.25, 2.0]),
)
@example([SamplingParams(temperature=1, top_p=1 - 2**-53, seed=1)], 1, 5000, 6.0, 0.0)
def test_large_vocabularies_too(
    settings: list[SamplingParams], seed: int, size: int, spread: float, grid: float
) -> None:
    steps = spread * np.random.default_rng(seed).standard_normal((3, len(settings), size)).astype(np.float32)
    compare(settings, list(np.round(steps / grid) * grid if grid else steps))


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_broken_row_ends_alone(broken: float) -> None:
    logits = np.tile(LOGITS, (3, 1))
    logits[1, 2] = broken
    samplers = [Sampler(SamplingParams(temperature=temperature, top_p=0.4)) for temperature in (0.0, 1.0, 1.0)]
    assert sample_batch(samplers, logits) == [0, None, 0]
