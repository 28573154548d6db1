"""A machine with a GPU and TensorRT, as far as stand-ins go."""

from collections.abc import Iterator

import pytest

from tests.tensorrt.bench import bench
from tests.tensorrt.standin import Machine, installed

__all__ = ["bench", "machine"]


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Fresh for each test. Whatever was allocated must be given back at its end, without a violation on the way."""
    with installed() as machine:
        yield machine
        machine.check_released()
