"""The scheduler against a model of the cache: whatever joins, ends and leaves, every slot holds its own sequence."""

from collections.abc import Callable

import numpy as np
from edgevlm_server.runtime.scheduler import Move, Scheduler
from edgevlm_server.runtime.sequence import Sequence
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

NO_FEATURES = np.zeros((0, 1), np.float32)


def sequence(length: int, max_tokens: int = 4) -> Sequence:
    return Sequence(np.arange(length), NO_FEATURES, max_tokens, frozenset())


class Machine(RuleBasedStateMachine):
    """Plays the batcher: `cache[slot]` is what an engine's slot would hold, as (sequence, position) pairs."""

    ROWS = 3
    CHUNK = 4

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(self.ROWS)
        self.cache: list[list[tuple[Sequence, int]]] = [[] for _ in range(self.ROWS)]
        self.alive: list[Sequence] = []
        self.order: list[Sequence] = []
        self.admitted: list[Sequence] = []

    @rule(length=st.integers(1, 11), max_tokens=st.integers(1, 5))
    def arrive(self, length: int, max_tokens: int) -> None:
        new = sequence(length, max_tokens)
        self.scheduler.add(new)
        self.alive.append(new)
        self.order.append(new)

    @rule()
    def step(self) -> None:
        decode, prefill = self.scheduler.next_step()
        assert [one.slot for one in decode] == list(range(len(decode)))
        for one in decode:
            self.write(one, one.cached, 1)
            one.generated.append(7)
        for one in decode:
            if one.finish_reason:
                self.leave(one)
        if prefill is not None:
            if prefill not in self.admitted:
                self.admitted.append(prefill)
            count = min(self.CHUNK, prefill.prompt_left)
            self.write(prefill, prefill.computed, count)
            if self.scheduler.prefilled(prefill, count):
                prefill.generated.append(7)
                if prefill.finish_reason:
                    self.leave(prefill)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.leave(data.draw(st.sampled_from(self.alive)))

    def write(self, one: Sequence, start: int, count: int) -> None:
        slot = self.cache[one.slot]
        assert slot[:start] == [(one, position) for position in range(start)], "the slot holds another past"
        slot[start:] = [(one, start + step) for step in range(count)]

    def leave(self, one: Sequence) -> None:
        for source, target, length in self.scheduler.remove(one):
            self.cache[target] = self.cache[source][:length]
        self.alive.remove(one)

    @invariant()
    def rows_are_owned_once(self) -> None:
        slots = [one.slot for one in self.alive if one.slot >= 0]
        assert sorted(slots) == list(range(len(slots)))
        assert len(slots) == self.scheduler.running <= self.ROWS
        assert self.scheduler.waiting == len(self.alive) - len(slots)

    @invariant()
    def admission_is_first_come_first_served(self) -> None:
        waited = [one for one in self.order if one in self.admitted]
        assert waited == self.admitted


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestScheduler: Callable[[], object] = Machine.TestCase


def test_one_prompt_at_a_time_beside_all_decodes() -> None:
    scheduler = Scheduler(slots=3)
    first, second, third = sequence(2), sequence(2), sequence(9)
    for one in (first, second, third):
        scheduler.add(one)
    assert scheduler.next_step() == ([], first)
    scheduler.prefilled(first, 2)
    assert scheduler.next_step() == ([first], second)
    scheduler.prefilled(second, 2)
    assert scheduler.next_step() == ([first, second], third)
    scheduler.prefilled(third, 5)
    assert scheduler.next_step() == ([first, second], third)


def test_no_prompt_is_admitted_without_a_slot() -> None:
    scheduler = Scheduler(slots=1)
    first, second = sequence(1), sequence(1)
    scheduler.add(first)
    scheduler.add(second)
    scheduler.next_step()
    scheduler.prefilled(first, 1)
    assert scheduler.next_step() == ([first], None)
    assert scheduler.remove(first) == []
    assert scheduler.next_step() == ([], second)


def test_both_the_last_slot_and_the_prompts_slot_move() -> None:
    scheduler = Scheduler(slots=4)
    running = [sequence(3), sequence(5)]
    prompt = sequence(8)
    for one in (*running, prompt):
        scheduler.add(one)
        scheduler.next_step()
        scheduler.prefilled(one, min(5, one.prompt_left))
        if not one.prompt_left:
            one.generated += [1, 2]
    assert scheduler.remove(running[0]) == [Move(1, 0, 6), Move(2, 1, 5)]
    assert (running[1].slot, prompt.slot) == (0, 1)


@given(st.lists(st.sampled_from([-200, 5]), min_size=1, max_size=40), st.integers(1, 9))
def test_chunks_carry_the_features_of_their_images(marks: list[int], size: int) -> None:
    prompt = np.array(marks)
    features = np.arange((prompt == -200).sum(), dtype=np.float32)[:, np.newaxis]
    one = Sequence(prompt, features, 1, frozenset())
    tokens, slots = [], []
    while one.prompt_left:
        chunk, inside = one.chunk(size)
        assert len(inside) == (chunk == -200).sum()
        one.computed += len(chunk)
        tokens.append(chunk)
        slots.append(inside)
    assert np.concatenate(tokens).tolist() == marks
    assert np.concatenate(slots).ravel().tolist() == features.ravel().tolist()
