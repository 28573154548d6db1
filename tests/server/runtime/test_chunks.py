"""A prompt is cut in the same places whatever follows, and nothing is left out."""

from itertools import pairwise

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens
from edgevlm_server.runtime.sequence import chunk_end, chunk_ends
from hypothesis import given
from hypothesis import strategies as st

prompts = st.lists(st.sampled_from([[7], [IMAGE_TOKEN] * 5]), min_size=1, max_size=40).map(
    lambda parts: np.array([token for part in parts for token in part], np.int64)
)
sizes = st.integers(1, 12)


def calls(prompt: Tokens, size: int) -> list[int]:
    ends = [0]
    while ends[-1] < len(prompt):
        ends.append(chunk_end(prompt, ends[-1], size))
    return ends


@given(prompts, sizes)
def test_calls_follow_one_another_to_the_end(prompt: Tokens, size: int) -> None:
    for start, end in pairwise(calls(prompt, size)):
        assert start < end <= min(start + size, len(prompt))


@given(prompts, prompts, sizes)
def test_what_follows_changes_no_cut(beginning: Tokens, rest: Tokens, size: int) -> None:
    shared = chunk_ends(beginning, size)
    assert chunk_ends(np.concatenate([beginning, rest]), size)[: len(shared)] == shared


def test_a_picture_ends_a_call() -> None:
    prompt = np.array([7] * 3 + [IMAGE_TOKEN] * 10 + [7] * 9)
    assert calls(prompt, 8) == [0, 8, 13, 21, 22]
    assert calls(prompt, 13) == [0, 13, 22]
    assert calls(prompt, 256) == [0, 13, 22]


def test_pictures_side_by_side_end_together() -> None:
    prompt = np.array([7] + [IMAGE_TOKEN] * 10 + [7, 7])
    assert calls(prompt, 256) == [0, 11, 13]
    # the last piece, and a picture that another one may follow, may go on
    assert chunk_ends(prompt, 256) == [11]
    assert chunk_ends(prompt[:11], 256) == []
