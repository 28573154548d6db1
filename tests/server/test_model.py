"""Loading a model: what happens in which order, and with what. Nothing is really loaded."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgevlm_engines import Bundle, EngineError, read_manifest
from edgevlm_server import model
from edgevlm_server.memory_budget import MemoryBudget
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.manifests import change


class Loading(EngineError):
    """In place of an engine."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What engine was asked for, and with what."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def load_engine(name: str, bundle: Bundle, **options: Any) -> None:
        calls.append((name, options))
        raise Loading

    monkeypatch.setattr(model, "load_engine", load_engine)
    return calls


@pytest.fixture
def jetson_bundle(bundles: Callable[[str], Path], tmp_path: Path) -> Path:
    """By its manifest; its graphs are ONNX Runtime's."""
    copy = tmp_path / "jetson"
    shutil.copytree(bundles("v2"), copy)
    change(copy, device="jetpack6", flavour="trt-split", precision="fp16")
    return copy


def test_plans_are_prepared_before_tensorrt_loads_them(jetson_bundle: Path, asked: list[Any]) -> None:
    prepared = []

    def prepare(bundle: Bundle, slots: int, length: int) -> None:
        assert not asked
        prepared.append((bundle.folder, slots, length))

    settings = Settings(max_batch=3, max_length=300, plans=Path("elsewhere"), no_cuda_graphs=True)
    with pytest.raises(Loading):
        load_model(jetson_bundle, settings, prepare=prepare)
    assert prepared == [(jetson_bundle, 3, 300)]
    [(name, options)] = asked
    assert name == "trt"
    assert (options["slots"], options["max_length"]) == (3, 300)
    assert (options["plans"], options["cuda_graphs"]) == (Path("elsewhere"), False)


def test_slots_that_memory_does_not_allow_are_not_prepared(
    jetson_bundle: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    settings = Settings(max_batch=64)
    full = MemoryBudget(read_manifest(jetson_bundle), settings, None).plan().total
    plans: list[int] = []
    with pytest.raises(Loading):
        load_model(
            jetson_bundle,
            replace(settings, memory=full - 1),
            prepare=lambda bundle, slots, length: plans.append(slots),
        )
    assert plans == [asked[0][1]["slots"]]
    assert 1 <= plans[0] < 64


@pytest.mark.parametrize("engine", ["ort", "echo"])
def test_other_engines_need_no_plans(jetson_bundle: Path, asked: list[Any], engine: Any) -> None:
    with pytest.raises(Loading):
        load_model(jetson_bundle, Settings(engine=engine), prepare=lambda *arguments: pytest.fail("prepared"))
    assert asked[0][0] == engine


def test_a_bundle_for_the_cpu_needs_no_plans(bundles: Callable[[str], Path], asked: list[Any]) -> None:
    with pytest.raises(Loading):
        load_model(bundles("v2"), Settings(), prepare=lambda *arguments: pytest.fail("prepared"))
    [(name, options)] = asked
    assert (name, options["provider"], options["cuda_graphs"]) == ("ort", "cpu", True)
