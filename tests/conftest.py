"""What tests of several rooms share: golden cases, bundles made from them, and a server on a real socket."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from edgevlm_engines.names import Device
from edgevlm_export.exporter import export_bundle

from tests.live import LiveServer

GOLDEN = Path(__file__).parent / "data" / "golden"
CASES = ("v1", "v2", "v2-headdim80-bf16")


@pytest.fixture(params=CASES)
def golden(request: pytest.FixtureRequest) -> Path:
    """Each golden case in turn."""
    return GOLDEN / str(request.param)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The fp32 bundle of a golden case, exported once. Tests that change a bundle copy it first."""
    made: dict[str, Path] = {}

    def bundle(case: str) -> Path:
        if case not in made:
            made[case] = tmp_path_factory.mktemp("bundles") / case
            export_bundle(GOLDEN / case / "checkpoint", made[case], vision_tower=GOLDEN / case / "clip", name=case)
        return made[case]

    return bundle


@pytest.fixture(scope="session")
def jetson_bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The bundle of a golden case for a Jetson, exported once."""
    made: dict[tuple[str, str], Path] = {}

    def bundle(case: str, device: str) -> Path:
        if (case, device) not in made:
            folder = made[case, device] = tmp_path_factory.mktemp(device) / case
            export_bundle(
                GOLDEN / case / "checkpoint",
                folder,
                vision_tower=GOLDEN / case / "clip",
                name=case,
                device=cast(Device, device),
                precision="fp16",
                vision_precision="fp16",
            )
        return made[case, device]

    return bundle


@pytest.fixture(scope="module")
def echo_server(bundles: Callable[[str], Path]) -> Iterator[LiveServer]:
    """A server on the echo engine."""
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        yield server
