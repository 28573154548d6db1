"""Probabilities: those of the softmax, and each with the piece of text that its token wrote."""

import numpy as np
import pytest
from edgevlm_engines import Floats
from edgevlm_server.runtime.logprobs import chosen_logprobs, logprobs_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

LOGITS = numpy_st.arrays(
    np.float32, st.integers(1, 40), elements=st.floats(-80, 80, width=32) | st.sampled_from([0.0, 1.0])
)


@given(LOGITS, st.data())
def test_they_are_the_logarithm_of_the_softmax(logits: Floats, data: st.DataObject) -> None:
    token = data.draw(st.integers(0, len(logits) - 1))
    count = data.draw(st.integers(0, 20))
    chosen, top = logprobs_of(logits, token, count)
    wide = logits.astype(np.float64)
    expected = wide - wide.max() - np.log(np.exp(wide - wide.max()).sum())
    assert chosen.token == token
    np.testing.assert_allclose(chosen.logprob, expected[token], atol=1e-12)
    order = np.argsort(-expected, kind="stable")[:count]
    assert [one.token for one in top] == order.tolist()
    np.testing.assert_allclose([one.logprob for one in top], expected[order], atol=1e-12)


def test_the_extremes_stay_finite() -> None:
    logits = np.array([np.finfo(np.float32).max, np.finfo(np.float32).min, 0], np.float32)
    chosen, top = logprobs_of(logits, 1, 3)
    assert np.isfinite([chosen.logprob, *(one.logprob for one in top)]).all()


BATCH = numpy_st.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 40)), elements=st.floats(-80, 80, width=32)
)


@given(BATCH, st.sampled_from([0.5, 1.0, 3.0]), st.data())
def test_those_of_a_batch_are_the_same_at_its_temperature(logits: Floats, heat: float, data: st.DataObject) -> None:
    tokens = [data.draw(st.integers(0, logits.shape[1] - 1)) for _ in logits]
    given = logits.copy()
    found = chosen_logprobs(logits, tokens, heat)
    wide = [logprobs_of((row / np.float32(heat)), token, 0) for row, token in zip(logits, tokens, strict=True)]
    np.testing.assert_allclose(found, [one.chosen.logprob for one in wide], atol=1e-4)
    assert max(found) <= 0
    np.testing.assert_array_equal(logits, given)
    # what runs beside a row cannot change it
    assert found == [chosen_logprobs(row[np.newaxis], [t], heat)[0] for row, t in zip(logits, tokens, strict=True)]


def test_a_broken_row_leaves_the_others_alone() -> None:
    logits = np.array([[np.nan, 1, 2], [0, 0, 0], [np.inf, 0, 0]], np.float32)
    assert chosen_logprobs(logits, [0, 1, 0], 1.0)[1] == pytest.approx(-np.log(3))
