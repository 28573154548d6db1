"""The plan names tests that exist, and only what cannot be done here has none."""

from pathlib import Path

from tests import faults
from tests.faults.plan import FAULTS

TESTS = Path(__file__).parents[1]


def test_every_fault_has_tests_that_exist_or_a_reason() -> None:
    assert list(FAULTS) == [f"F{number}" for number in range(1, 24)]
    written = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    for number, fault in FAULTS.items():
        assert fault.tests or f"- {number}, " in str(faults.__doc__), number
        for name in fault.tests:
            assert f"def {name}(" in written, (number, name)


def test_every_test_of_this_folder_is_in_the_plan() -> None:
    planned = {name for fault in FAULTS.values() for name in fault.tests}
    here = [path for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_plan.py"]
    lines = [line for path in here for line in path.read_text(encoding="utf-8").splitlines()]
    names = {line.removeprefix("def ").partition("(")[0] for line in lines if line.startswith("def test_")}
    assert names and names <= planned
