"""Which TensorRT a bundle gets where there is one, the other, or both. On stand-ins."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from edgevlm_engines import EngineLoadError, NotNow
from edgevlm_engines.names import Device
from edgevlm_engines.plan_cache import Target, device_for
from edgevlm_engines.trt.library import library_for
from edgevlm_engines.trt.target import this_target

from tests.tensorrt.standin import installed

RTX, JETPACK = "1.4.0.76", "10.16.0"


def test_a_target_says_which_library_it_is_with_its_own_version() -> None:
    with installed(RTX):
        target = this_target("rtx")
    assert (target.software, target.interface) == ("TensorRT-RTX 1.4.0.76", (10, 16))
    with installed(JETPACK):
        assert this_target("jetpack7").software == "TensorRT 10.16.0"


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        ("cudaErrorMemoryAllocation", NotNow, "Other programs hold the GPU: cudaSetDevice failed: "),
        ("cudaErrorDevicesUnavailable", NotNow, "Other programs hold the GPU: cudaSetDevice failed: "),
        ("cudaErrorNoDevice", EngineLoadError, "CUDA finds no GPU here: cudaSetDevice failed: "),
    ],
)
def test_a_gpu_that_others_hold_is_told_from_one_that_is_not_there(
    code: str, kind: type[EngineLoadError], sentence: str
) -> None:
    with installed(JETPACK) as machine:
        machine.fail["cudaSetDevice"] = code
        with pytest.raises(EngineLoadError, match=sentence) as caught:
            this_target()
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("there", "device", "sentence"),
    [
        (RTX, "jetpack7", "on this PC there is TensorRT-RTX: export with --device rtx."),
        (RTX, "jetpack6", "on this PC there is TensorRT-RTX: export with --device rtx."),
        (JETPACK, "rtx", "TensorRT-RTX is not installed, and TensorRT is: on a Jetson, export with --device jetpack"),
    ],
)
def test_where_the_other_one_is_installed_a_sentence_says_what_to_do(
    there: str, device: Device, sentence: str
) -> None:
    with installed(there), pytest.raises(EngineLoadError) as caught:
        this_target(device)
    assert sentence in str(caught.value)


def test_where_none_is_installed_the_sentence_names_the_package() -> None:
    with pytest.raises(EngineLoadError, match="install edgevlm with its 'rtx' extra"):
        library_for("rtx")
    with pytest.raises(EngineLoadError, match="python3-libnvinfer"):
        library_for("jetpack7")


def test_where_both_are_installed_the_bundle_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(RTX):
        other = ModuleType("tensorrt")
        other.__dict__.update(sys.modules["tensorrt_rtx"].__dict__, __version__=JETPACK)
        other.__spec__ = ModuleSpec("tensorrt", None)
        monkeypatch.setitem(sys.modules, "tensorrt", other)
        names = [library_for(device).software for device in ("rtx", "jetpack7", None)]
    assert names == ["TensorRT-RTX 1.4.0.76", "TensorRT 10.16.0", "TensorRT 10.16.0"]


@pytest.mark.parametrize(
    ("library", "version", "interface", "device"),
    [
        ("TensorRT", "10.3.0", (10, 3, 0), "jetpack6"),
        ("TensorRT", "10.15.1", (10, 15, 1), "jetpack7"),
        ("TensorRT-RTX", "1.4.0.76", (10, 16), "rtx"),
        ("TensorRT-RTX", "1.7.1.116", (11, 0), "rtx"),
        ("TensorRT-RTX", "1.3.0.5", (), "rtx"),
    ],
)
def test_versions_are_compared_by_the_interface_they_have(
    library: str, version: str, interface: tuple[int, ...], device: Device
) -> None:
    target = Target(version, "GPU", "8.6", library=library)
    assert (target.interface, device_for(target)) == (interface, device)
