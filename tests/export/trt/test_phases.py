"""Phases inside phases become per cent that only grow."""

import pytest
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.trt.phases import Phases


class Told(Progress):
    def __init__(self) -> None:
        self.amounts: list[int] = []
        self.finished = False

    def advance(self, count: int) -> None:
        self.amounts.append(count)

    def finish(self) -> None:
        self.finished = True

    @property
    def done(self) -> int:
        return sum(self.amounts)


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_phase_inside_counts_as_a_part_of_the_outer_ones_step(told: Told) -> None:
    phases = Phases(told)
    phases.start("outer", 4)
    phases.step("outer", 0)
    assert told.done == 25
    phases.start("inner", 5)
    for step, expected in enumerate((30, 35, 40, 45, 50)):
        phases.step("inner", step)
        assert told.done == expected
    phases.finish("inner")
    phases.step("outer", 1)
    assert told.done == 50
    phases.close()
    assert told.done == 100 and told.finished


def test_it_never_goes_back_and_never_past_the_end(told: Told) -> None:
    phases = Phases(told)
    phases.start("first", 1)
    phases.step("first", 0)
    phases.finish("first")
    phases.start("second", 10)
    for step in range(20):
        phases.step("second", step)
    phases.finish("never begun")
    phases.step("never begun", 3)
    phases.close()
    assert told.done == 100 and min(told.amounts) > 0


def test_a_step_of_an_outer_phase_ends_what_was_left_open_inside(told: Told) -> None:
    phases = Phases(told)
    phases.start("outer", 2)
    phases.start("forgotten", 2)
    phases.step("forgotten", 0)
    phases.step("outer", 0)
    assert told.done == 50
    phases.start("next", 2)
    phases.step("next", 0)
    assert told.done == 75
