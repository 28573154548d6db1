"""A little of what `make arm` runs, on the processor that is nearest to an Orin's."""

import subprocess
import sys

from tests.arm import checks
from tests.arm.root import Arm
from tests.boundaries.walls import ROOT


def test_a_golden_case(arm: Arm) -> None:
    assert checks.parity(arm, "v2").startswith("ids, pixels, tokens equal")


def test_an_answer_in_int4(arm: Arm) -> None:
    with checks.served(arm, checks.demo(arm, "int4")) as url:
        assert checks.ask(url, checks.EXAMPLES[0]) == checks.EXAMPLES[0]["answer"]


def test_the_memory_plan_covers_the_slots_that_the_engine_holds(arm: Arm) -> None:
    """Fours, where x86-64 has pairs. Whether one alone gets the bits of four depends on the weights."""
    assert checks.slots(arm, "int4") in ("steps of 1, 4, 8", "steps of 4, 8")


def test_a_machine_that_lacks_something_is_told_so_in_one_sentence() -> None:
    command = [sys.executable, "-m", "tests.arm"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Running the Arm tests takes root, Debian and its packages qemu-user-static")


def test_a_check_that_fails_says_what_it_saw() -> None:
    def wrong() -> str:
        raise AssertionError("green instead of amber")

    assert checks.row("lamp", wrong) == checks.Row("lamp", False, "green instead of amber")
