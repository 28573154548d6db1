"""Sizes of step are found out, on stand-ins for devices whose kernels round by slot, by number or by length."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edgevlm_engines import Floats, Tokens
from edgevlm_engines.kv_cache import CpuCache
from edgevlm_engines.ort.invariance import invariant_sizes, step_sizes
from numpy.typing import NDArray

Rounds = Callable[[int, Tokens], bool]
"""Whether kernels round a slot otherwise, in a step of slots with so many positions before it."""

WIDTH = 6


class StandIn:
    """A decoder that sums up what a slot's cache holds, and rounds as it is told."""

    def __init__(self, slots: int, length: int, rounds: Rounds) -> None:
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.hidden_size = WIDTH
        self.cache = CpuCache(1, (slots, 1, length, WIDTH), self.dtype)
        self.closed = False
        self._rounds = rounds

    def run(self, first_slot: int, hidden: NDArray[Any], last_position: Tokens) -> Floats:
        [buffer] = self.cache._buffers
        count = hidden.shape[1]
        rows = []
        for row, (new, last) in enumerate(zip(hidden, last_position, strict=True)):
            buffer[first_slot + row, 0, last + 1 - count : last + 1] = new
            rows.append(buffer[first_slot + row, 0, : last + 1].sum(0))
            if count == 1 and self._rounds(row, last_position):
                rows[-1] = np.nextafter(rows[-1], np.float32(np.inf))
        return np.stack(rows)

    def close(self) -> None:
        assert not self.closed
        self.closed = True


def found(rounds: Rounds, slots: int, length: int = 700) -> tuple[int, ...]:
    made: list[StandIn] = []

    def make(count: int) -> StandIn:
        made.append(StandIn(count, length, rounds))
        return made[-1]

    sizes = invariant_sizes(make, slots)
    assert all(decoder.closed for decoder in made)
    return sizes


def never(slot: int, lengths: Tokens) -> bool:
    return False


def alone(slot: int, lengths: Tokens) -> bool:
    return len(lengths) == 1


def last_of_odd(slot: int, lengths: Tokens) -> bool:
    return len(lengths) % 2 == 1 and slot == len(lengths) - 1


def outside_of_fours(slot: int, lengths: Tokens) -> bool:
    return slot >= len(lengths) // 4 * 4


def above_eight(slot: int, lengths: Tokens) -> bool:
    return len(lengths) > 8


def few_with_a_past(slot: int, lengths: Tokens) -> bool:
    return len(lengths) < 4 and int(lengths[slot]) > 0


def few_with_a_long_past(slot: int, lengths: Tokens) -> bool:
    return len(lengths) < 6 and int(lengths[slot]) > 512


def every_second(slot: int, lengths: Tokens) -> bool:
    return slot % 2 == 1


def beside_a_longer_one(slot: int, lengths: Tokens) -> bool:
    return int(lengths.max()) > 512


@pytest.mark.parametrize(
    ("rounds", "slots", "sizes"),
    [
        (never, 1, (1,)),
        (never, 2, (1, 2)),
        (never, 8, (1, 2, 3, 4, 5, 6, 7, 8)),
        (never, 12, (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)),
        (alone, 5, (2, 3, 4, 5)),
        (alone, 2, (2,)),
        (last_of_odd, 8, (2, 4, 6, 8)),
        (last_of_odd, 7, (2, 4, 6, 8)),
        (last_of_odd, 3, (2, 4)),
        (outside_of_fours, 2, (1, 2)),
        (outside_of_fours, 5, (4, 8)),
        (above_eight, 8, (1, 2, 3, 4, 5, 6, 7, 8)),
        (above_eight, 9, (9,)),
        (above_eight, 12, (10, 12)),
        (few_with_a_past, 6, (4, 6)),
        (few_with_a_long_past, 8, (6, 8)),
    ],
)
def test_only_sizes_that_agree_are_run(
    rounds: Rounds, slots: int, sizes: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert found(rounds, slots) == sizes
    told = [record.getMessage() for record in caplog.records]
    assert told == (
        []
        if sizes == step_sizes(slots)
        else [
            f"Steps run with {', '.join(map(str, sizes))} slots: with other numbers this device rounds differently."
        ]
    )


@pytest.mark.parametrize("rounds", [every_second, beside_a_longer_one])
def test_where_no_size_helps_one_warning_says_what_is_not_promised(
    rounds: Rounds, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(rounds, 6) == (1, 2, 3, 4, 5, 6)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Answers may depend on what else runs: on this device a slot's logits")


@pytest.mark.parametrize("length", [2, 5, 20])
def test_slots_that_are_shorter_than_what_is_tried(length: int) -> None:
    assert found(last_of_odd, 5, length) == (2, 4, 6)


def test_a_step_is_filled_up_by_a_quarter_at_most() -> None:
    sizes = step_sizes(64)
    assert sizes[-1] == 64 and list(sizes) == sorted(set(sizes))
    for slots in range(1, 65):
        assert next(size for size in sizes if size >= slots) <= 1.25 * slots
        assert step_sizes(slots)[-1] == slots
