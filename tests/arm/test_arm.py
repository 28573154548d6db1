"""A little of what `make arm` runs, on the processor that is nearest to an Orin's."""

from tests.arm import checks
from tests.arm.root import Arm


def test_a_golden_case(arm: Arm) -> None:
    assert checks.parity(arm, "v2").startswith("ids, pixels, tokens equal")


def test_an_answer_in_int4(arm: Arm) -> None:
    with checks.served(arm, checks.demo(arm, "int4")) as url:
        assert checks.ask(url, checks.EXAMPLES[0]) == checks.EXAMPLES[0]["answer"]


def test_the_memory_plan_covers_the_slots_that_the_engine_holds(arm: Arm) -> None:
    """Fours, where x86-64 has pairs."""
    assert checks.slots(arm, "int4") == "steps of 1, 4, 8"
