"""The contract of the engine boundary, as `tests/engines` states it, on a real device."""

import inspect

import pytest
from edgevlm_engines import Engine

from tests.engines import test_contract as contract
from tests.gpu.conftest import LENGTH, SLOTS, Loaded

ROW = "engine contract"

HALF = {"v1": 2e-2, "v2": 2e-2, "v2-headdim80-bf16": 5e-2}
"""How far float16 may be from itself in another order of sums, on logits of some units. A GPU has more orders than
one, and takes another for another number of positions. The last case is the roughest: there float16 is 0.13 away from
float32, 1.6 % of its largest logits, on a CPU too."""

assert (SLOTS, LENGTH) == (contract.SLOTS, contract.LENGTH)

# those that do not take the engine load one of their own, on the CPU
for _name, _function in vars(contract).copy().items():
    if _name.startswith("test_") and "engine" in inspect.signature(_function).parameters:
        globals()[_name] = _function


@pytest.fixture(scope="module")
def engine(loaded: Loaded) -> Engine:
    return loaded.model.engine


@pytest.fixture(autouse=True)
def tolerance(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "HALF", HALF[loaded.case])
