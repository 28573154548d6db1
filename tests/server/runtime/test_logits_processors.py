"""Penalties, biases, least lengths: each does what its formula says, and to its own row alone."""

import numpy as np
import pytest
from edgevlm_engines import IMAGE_TOKEN, Floats
from edgevlm_server.runtime.logits_processors import LogitsProcessors
from edgevlm_server.runtime.sampling import Sampler, SamplingParams, sample_batch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

SIZE = 12
LOGITS = numpy_st.arrays(np.float32, SIZE, elements=st.floats(-50, 50, width=32))
TOKEN = st.integers(0, SIZE - 1)


def plain(params: SamplingParams, prompt: list[int], taken: list[int], logits: Floats) -> list[float]:
    """The formulas of the documentation, token by token."""
    out = []
    for token, logit in enumerate(logits.tolist()):
        if token in prompt or token in taken:
            logit = logit / params.repetition_penalty if logit > 0 else logit * params.repetition_penalty
        if token in taken:
            logit -= params.presence_penalty + params.frequency_penalty * taken.count(token)
        out.append(logit + dict(params.logit_bias).get(token, 0.0))
    return out


@st.composite
def asked(draw: st.DrawFn) -> SamplingParams:
    biases = draw(st.dictionaries(TOKEN, st.floats(-100, 100), max_size=4))
    return SamplingParams(
        presence_penalty=draw(st.floats(-2, 2)),
        frequency_penalty=draw(st.floats(-2, 2)),
        repetition_penalty=draw(st.floats(0.1, 10)),
        logit_bias=tuple(biases.items()),
    )


@given(asked(), st.lists(TOKEN | st.just(IMAGE_TOKEN), max_size=5), st.lists(TOKEN, max_size=8), LOGITS)
def test_the_formulas(params: SamplingParams, prompt: list[int], taken: list[int], logits: Floats) -> None:
    adjustments = LogitsProcessors(params, np.array(prompt, np.int64))
    before = logits.copy()
    for token in taken:
        adjustments.apply(logits)
        adjustments.take(token)
    changed = adjustments.apply(logits)
    assert changed is not None
    np.testing.assert_allclose(changed, plain(params, prompt, taken, logits), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, np.finfo(np.float32).min])
@pytest.mark.parametrize("penalty", [0.01, 10.0])
def test_the_largest_numbers_stay_finite(value: float, penalty: float) -> None:
    adjustments = LogitsProcessors(SamplingParams(repetition_penalty=penalty), np.array([0], np.int64))
    changed = adjustments.apply(np.full(SIZE, value, np.float32))
    assert changed is not None
    assert np.isfinite(changed).all()


def test_a_repetition_ends_when_it_is_penalised() -> None:
    logits = np.array([[3, 2.5, 0, 0]], np.float32)
    params = SamplingParams(frequency_penalty=0.4)
    sampler = Sampler(params, LogitsProcessors(params, np.zeros(0, np.int64)))
    assert [sample_batch([sampler], logits)[0] for _ in range(6)] == [0, 0, 1, 0, 1, 0]


def test_an_end_token_waits_until_enough_tokens_are_there() -> None:
    logits = np.array([[0, 1, 9]], np.float32)
    params = SamplingParams()
    sampler = Sampler(params, LogitsProcessors(params, np.zeros(0, np.int64), end_ids={2}, min_tokens=3))
    assert [sample_batch([sampler], logits)[0] for _ in range(4)] == [1, 1, 1, 2]


@given(LOGITS, st.floats(0.1, 2), st.floats(0, 1), st.integers(0, 2**32))
def test_min_p_keeps_what_is_likely_enough(logits: Floats, temperature: float, min_p: float, seed: int) -> None:
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    [token] = sample_batch(
        [Sampler(SamplingParams(temperature=temperature, min_p=min_p, seed=seed))], logits[np.newaxis]
    )
    assert token is not None
    assert weights[token] >= min_p


def test_min_p_leaves_top_p_its_share_of_what_is_left() -> None:
    logits = np.log(np.array([[0.4, 0.3, 0.2, 0.1]], np.float32))
    params = SamplingParams(temperature=1.0, min_p=0.6, top_p=0.5, seed=1)
    sampler = Sampler(params)
    # 0.4 and 0.3 are left, and 0.4 is more than half of them
    assert {sample_batch([sampler], logits)[0] for _ in range(200)} == {0}


def test_several_answers_draw_for_themselves_and_the_first_as_it_would_alone() -> None:
    logits = np.zeros((1, 1000), np.float32)
    params = SamplingParams(temperature=1.0, seed=7)
    drawn = [
        [sample_batch([sampler], logits)[0] for _ in range(20)]
        for sampler in (Sampler(params, None, n) for n in (0, 1, 2))
    ]
    assert drawn[0] == [sample_batch([sampler], logits)[0] for sampler in [Sampler(params)] for _ in range(20)]
    assert len({tuple(one) for one in drawn}) == 3


@given(st.data(), st.lists(asked(), min_size=2, max_size=5))
def test_a_batch_gets_what_its_rows_would_get_alone(data: st.DataObject, settings: list[SamplingParams]) -> None:
    steps = data.draw(
        st.lists(numpy_st.arrays(np.float32, (len(settings), SIZE), elements=st.floats(-9, 9, width=32)), max_size=4)
    )

    def samplers() -> list[Sampler]:
        return [Sampler(one, LogitsProcessors(one, np.array([1, 2], np.int64))) for one in settings]

    together, alone = samplers(), samplers()
    for logits in steps:
        expected = [sample_batch([one], row[np.newaxis])[0] for one, row in zip(alone, logits, strict=True)]
        assert sample_batch(together, logits) == expected
