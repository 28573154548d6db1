"""The root with edgevlm installed, prepared once in a run."""

import pytest

from tests.arm.root import CPUS, Arm, fill, missing, prepare
from tests.conftest import Once


@pytest.fixture(scope="session")
def arm(once: Once) -> Arm:
    assert missing() is None, missing()
    return Arm(prepare(), once("arm", fill), CPUS[0])
