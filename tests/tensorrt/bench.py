"""An engine on a stand-in's machine, for tests of what it does with the device. `bench` is a fixture."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgevlm_engines import Engine, Floats, Tokens, load_engine, open_bundle

from tests.tensorrt.jetsons import JETSONS
from tests.tensorrt.standin import Machine, installed
from tests.tensorrt.standin.plans import write_plans

SLOTS, LENGTH, CAPACITY = 4, 700, 704


class Bench:
    """A machine with a bundle's plans on it, and a way to load engines that are closed at the end."""

    def __init__(self, machine: Machine, folder: Path, plans: Path) -> None:
        self.machine, self.folder, self._plans = machine, folder, plans
        self.plans = self.build(SLOTS)
        self.engines: list[Engine] = []

    @property
    def split(self) -> bool:
        return self.machine.tensorrt.startswith("10.3")

    def build(self, slots: int) -> Path:
        """Plans for so many slots; their folder."""
        return write_plans(self.folder, slots, LENGTH, self._plans)

    def load(self, slots: int = SLOTS, max_length: int = LENGTH, *, cuda_graphs: bool = True) -> Engine:
        bundle = open_bundle(self.folder)
        engine = load_engine(
            "trt", bundle, slots=slots, max_length=max_length, plans=self._plans, cuda_graphs=cuda_graphs
        )
        self.engines.append(engine)
        return engine

    def runs(self) -> list[dict[str, Any]]:
        """Every execution of the decoder, in order."""
        return [run for run in self.machine.named("execute_async_v3") if "cache_positions" in run["shapes"]]

    def forget(self) -> None:
        """What is recorded from now on is what comes now."""
        self.machine.calls.clear()


@pytest.fixture(params=JETSONS)
def bench(
    request: pytest.FixtureRequest, device_bundles: Callable[[str, str], Path], tmp_path: Path
) -> Iterator[Bench]:
    with installed(JETSONS[request.param]) as machine:
        bench = Bench(machine, device_bundles("v2", request.param), tmp_path / "plans")
        yield bench
        for engine in bench.engines:
            engine.close()
        bench.engines.clear()
        machine.check_released()


def text(length: int, seed: int = 1) -> Tokens:
    return np.random.default_rng(seed).integers(259, 400, length)


def decode(engine: Engine, *lengths: int) -> Floats:
    return engine.decode(np.full(len(lengths), 300), np.array(lengths))


def counts(machine: Machine, *names: str) -> int:
    return sum(len(machine.named(name)) for name in names)
