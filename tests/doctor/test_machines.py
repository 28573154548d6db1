"""Machines made of files: what is found on them, what fits, what is advised."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from edgevlm_engines import Manifest, read_manifest, size_text
from edgevlm_server.device.power_modes import Mode, Power

from edgevlm.doctor import software
from edgevlm.doctor.ceilings import MODELS
from edgevlm.doctor.fit import published_manifest
from edgevlm.doctor.judge import Report, judge
from edgevlm.doctor.memory import Cache
from edgevlm.doctor.report import as_text
from edgevlm.doctor.software import Trial, this_interpreter
from tests.devices import AGX_ORIN, MACHINES, ORIN_NANO_JETPACK_7, ORIN_NANO_SUPER, PC, RELEASE, WORKSTATION, Machine
from tests.server.device.trees import ORIN_NANO, SILENT

GARBAGE = (
    "",
    "\0",
    "abc",
    "--5",
    "-1",
    "9" * 30,
    "\udcff\udcfe" * 40,
    "R (release), REVISION: ..",
    "pmode:",
    "{}",
    "a b c",
)


def report(machine: Machine, folder: Path, manifest: Manifest | None = None) -> Report:
    return judge(machine.survey(folder), manifest)


def said(report: Report, *, stops: bool) -> list[str]:
    return [one.text for one in report.advice if one.stops == stops]


def test_a_device_as_it_should_be(tmp_path: Path) -> None:
    found = report(AGX_ORIN, tmp_path)
    assert (found.ok, found.device, found.advice) == (True, "jetpack6", [])
    board = found.survey.board
    assert board.model == "NVIDIA Jetson AGX Orin Developer Kit"
    assert (board.module, board.bus_bits, board.chip) == ("Jetson AGX Orin", 256, "tegra234")
    assert (board.release, board.driver, board.cuda) == ("36.4.7", "540.4.0", "12.6.68")
    assert found.bandwidth == 204_736_000_000
    assert (found.survey.memory.swap, found.survey.memory.zram) == (0, 2 * 2681216 * 1024)
    assert found.survey.power.active == Mode(0, "MAXN", None, None)
    [zone] = found.survey.device.zones
    assert (zone.name, zone.temperature, zone.throttles_at) == ("tj-thermal", 52.875, 99.0)
    text = as_text(found)
    assert "L4T 36.4.7 (JetPack 6.1 or 6.2), Python 3.10.12 in a virtual environment" in text
    assert "204.7 GB/s at most in this mode" in text
    assert "| MobileVLM_V2-1.7B | fp16 | 2.60 GB | 76 | 8 |" in text
    assert "edgevlm export MobileVLM_V2-1.7B bundles/v2-1.7b --device jetpack6 --precision fp16" in text
    assert text.endswith("Nothing is wrong.")


def test_a_device_as_flashed(tmp_path: Path) -> None:
    found = report(ORIN_NANO_SUPER, tmp_path)
    assert (found.ok, found.device) == (False, "jetpack6")
    assert found.survey.board.cuda == "12.6"
    assert found.bandwidth == 16 * 2 * 2_133_000_000
    assert said(found, stops=True) == [
        "TensorRT is installed, but this virtual environment does not see it: make it again with 'python3 -m venv "
        "--system-site-packages'.",
        "CUDA's Python bindings are missing: 'pip install cuda-python==12.6.2.post1', or edgevlm with its 'jetson' "
        "extra.",
    ]
    mode, loose, swap, desktop = said(found, stops=False)
    # its fastest mode has neither the highest number nor the lowest
    assert mode == "Power mode 15W limits the clocks: 'sudo nvpmodel -m 2' sets MAXN_SUPER."
    assert loose == "CPU and GPU clocks change with the load: 'sudo jetson_clocks' pins them until a restart."
    assert "create a swap file" in swap and "desktop" in desktop
    assert as_text(found).count("- must: ") == 2 and as_text(found).count("- should: ") == 4


def test_jetpack_7_on_an_orin(tmp_path: Path) -> None:
    found = report(ORIN_NANO_JETPACK_7, tmp_path)
    assert (found.ok, found.device, found.advice) == (True, "jetpack7", [])
    assert found.survey.board.release == "39.2.1"
    assert "TensorRT 10.16.2.10, Orin, compute capability 8.7" in as_text(found)
    slots = {(fit.model, fit.precision): fit.slots for fit in found.fits}
    assert 0 < slots["MobileVLM_V2-1.7B", "int8"] <= slots["MobileVLM_V2-1.7B", "int4"] <= 8  # type: ignore[operator]
    # a plan in fp16 holds some weights twice
    assert slots["MobileVLM_V2-1.7B", "fp16"] == slots["MobileVLM_V2-7B", "fp16"] == 0
    served = f"bundles/v2-1.7b --max-batch {slots['MobileVLM_V2-1.7B', 'int8']} --max-length 2048"
    assert f"edgevlm build {served}" in as_text(found) and f"edgevlm serve {served}" in as_text(found)


def test_a_pc_with_tensorrt_rtx(tmp_path: Path) -> None:
    found = report(WORKSTATION, tmp_path)
    assert (found.ok, found.device, found.advice) == (True, "rtx", [])
    assert "TensorRT-RTX 1.4.0.76, NVIDIA RTX A2000, compute capability 8.6" in as_text(found)
    assert "--device rtx" in as_text(found)


@pytest.mark.parametrize(
    ("machine", "advice"),
    [
        (PC, "TensorRT-RTX is not installed: install edgevlm with its 'rtx' extra."),
        (
            WORKSTATION.with_packages(cuda_bindings=None),
            "CUDA's Python bindings are missing: install edgevlm with its",
        ),
        (
            replace(WORKSTATION, target=Trial(False, "CUDA finds no GPU here: cudaSetDevice failed")),
            "TensorRT-RTX and CUDA do not work together here: CUDA finds no GPU here: cudaSetDevice failed.",
        ),
        (AGX_ORIN, "The bundle is for TensorRT-RTX on a PC: export it with --device jetpack6."),
    ],
)
def test_a_bundle_for_tensorrt_rtx_where_it_cannot_run(machine: Machine, advice: str, tmp_path: Path) -> None:
    found = report(machine, tmp_path, published_manifest(MODELS[0], "fp16", "rtx"))
    assert advice in said(found, stops=True)[0]
    if machine.packages.get("tensorrt-rtx-cu13"):
        assert said(report(machine, tmp_path / "alone"), stops=True) == said(found, stops=True)


def test_a_pc_with_tensorrt_rtx_takes_no_jetsons_bundle(tmp_path: Path) -> None:
    found = report(WORKSTATION, tmp_path, published_manifest(MODELS[0], "fp16", "jetpack7"))
    assert "for this machine, export with --device rtx." in said(found, stops=True)[0]


def test_what_a_device_says_of_itself(tmp_path: Path) -> None:
    said_by_it = {name: f"{content}\n" for name, content in ORIN_NANO.items() if content is not SILENT}
    text = as_text(report(replace(ORIN_NANO_SUPER, files={**ORIN_NANO_SUPER.files, **said_by_it}), tmp_path))
    for line in (
        "clocks          CPU 1344 of 1728 MHz, GPU 612 of 1020 MHz, memory 3199 MHz",
        "GPU             gpu0 87 % busy",
        "power           VDD_IN 12.6 W, VDD_CPU_GPU_CV 5.7 W, VDD_SOC 2.6 W",
        "slowed down     nothing",
        "overcurrent     oc2 15 times since its start, oc3 37 times since its start",
        "fans            tachometer 2140 rpm, pwmfan 40 %",
    ):
        assert f"\n{line}\n" in text
    assert "VDD" not in as_text(report(PC, tmp_path / "pc"))


def test_a_pc(tmp_path: Path) -> None:
    found = report(PC, tmp_path)
    assert (found.ok, found.device, found.fits, found.bandwidth, found.advice) == (True, "cpu", [], None, [])
    assert found.survey.board.model == "Intel(R) Xeon(R) Processor"
    assert "--device cpu" in as_text(found) and "this is not a Jetson" in as_text(found)


@pytest.mark.parametrize(
    ("machine", "advice"),
    [
        (AGX_ORIN.with_packages(tensorrt=None), "'sudo apt install python3-libnvinfer'"),
        (AGX_ORIN.with_packages(tensorrt=("8.6.2", "any")), "TensorRT 8.6.2 is too old"),
        (replace(AGX_ORIN.with_packages(tensorrt=None), python=(3, 12, 1)), "TensorRT of this system is for 3.10"),
        (AGX_ORIN.with_packages(cuda_bindings=("13.4.4", "any")), "cuda-bindings 13.4.4 is not for CUDA 12.6.68"),
        (ORIN_NANO_JETPACK_7.with_packages(cuda_bindings=None), "'pip install cuda-bindings==13.2.0'"),
        (replace(AGX_ORIN, target=Trial(False, "CUDA finds no GPU here")), "together here: CUDA finds no GPU here."),
        (AGX_ORIN.with_files(nv_tegra_release=RELEASE.format(38, "2.0")), "is for Thor only"),
        (
            AGX_ORIN.with_files(nv_tegra_release=RELEASE.format(36, "3.0")),
            "L4T 36.3.0 (JetPack 6.0): TensorRT is too old",
        ),
        (
            AGX_ORIN.with_files(nv_tegra_release=RELEASE.format(35, "4.1")),
            "L4T 35.4.1 (JetPack 5): TensorRT is too old",
        ),
        (AGX_ORIN.with_files(nv_tegra_release="garbled"), "/etc/nv_tegra_release is missing or cannot be read"),
        (PC.with_packages(onnxruntime=None), "ONNX Runtime is not installed"),
        (replace(PC, providers=""), "cannot be imported"),
    ],
)
def test_what_stops_an_engine(machine: Machine, advice: str, tmp_path: Path) -> None:
    found = report(machine, tmp_path)
    assert not found.ok
    [text] = said(found, stops=True)
    assert advice in text


@pytest.mark.parametrize(
    ("machine", "advice"),
    [
        (AGX_ORIN.with_files(status="pmode:0003"), "Power mode MODE_50W limits the clocks: 'sudo nvpmodel -m 0'"),
        (AGX_ORIN.with_files(status=""), "Power mode MODE_30W limits the clocks"),
        (AGX_ORIN.with_files(status="pmode:0009"), "The active power mode is unknown"),
        (AGX_ORIN.with_files(scaling_min_freq="729600"), "CPU clocks change"),
        (AGX_ORIN.with_files(temp="99500"), "tj-thermal is at 100 °C and slows down at 99"),
        (
            ORIN_NANO_JETPACK_7.with_packages(onnxruntime_gpu=("1.31.1", "cp312-cp312-manylinux_2_28_aarch64")),
            "PyPI's build, which holds no code for Orin's GPU",
        ),
        (
            AGX_ORIN.with_packages(onnxruntime_gpu=("1.23.0", "cp310-cp310-linux_aarch64")),
            "onnxruntime and onnxruntime-gpu overwrite each other",
        ),
    ],
)
def test_what_makes_it_slow_does_not_stop_it(machine: Machine, advice: str, tmp_path: Path) -> None:
    found = report(machine, tmp_path)
    assert found.ok
    [text] = said(found, stops=False)
    assert advice in text


def test_the_best_mode_is_the_one_that_is_set_where_none_limits_less() -> None:
    modes = (Mode(0, "A", None, None), Mode(1, "B", None, None), Mode(2, "C", 2_133_000_000, None))
    assert Power(modes, modes[1]).best == modes[1]
    assert Power(modes, modes[2]).best == modes[0]
    assert Power((), None).best is None


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_garbled_and_missing_files_are_unknown_and_no_error(machine: str, tmp_path: Path) -> None:
    whole = MACHINES[machine]
    for number, name in enumerate(whole.files):
        for text in GARBAGE:
            as_text(
                report(replace(whole, files={**whole.files, name: text}), tmp_path / f"{number}-{text.isalnum()}")
            )
        left = {other: text for other, text in whole.files.items() if other != name}
        as_text(report(replace(whole, files=left), tmp_path / f"{number}-missing"))
    empty = report(replace(whole, files={}, packages={}), tmp_path / "empty")
    assert empty.survey.board.release is None and "unknown" in as_text(empty)


@pytest.mark.parametrize(
    ("machine", "model", "advice"),
    [
        (
            AGX_ORIN,
            "jetpack7",
            "The bundle needs TensorRT 10.15, and this is 10.3.0: export it with --device jetpack6.",
        ),
        (PC, "jetpack7", "This is not a Jetson: TensorRT bundles are built and run on the Jetson itself"),
        (PC, "cuda", "The bundle is for CUDA, and this ONNX Runtime has no CUDA in it"),
    ],
)
def test_a_bundle_for_another_machine(machine: Machine, model: str, advice: str, tmp_path: Path) -> None:
    manifest = published_manifest(MODELS[0], "fp16", model)  # type: ignore[arg-type]
    found = report(machine, tmp_path, manifest)
    assert not found.ok
    [text] = said(found, stops=True)
    assert advice in text


def test_a_bundle_that_fits_and_one_that_does_not(tmp_path: Path) -> None:
    small = report(ORIN_NANO_JETPACK_7, tmp_path / "small", published_manifest(MODELS[0], "int4", "jetpack7"))
    [fit] = small.fits
    assert small.ok and fit.slots and fit.ceiling == pytest.approx(128, abs=1)
    assert said(small, stops=False) == [
        f"{fit.slots} of 8 slots fit into memory now: pass '--max-batch {fit.slots}' to serve and to build."
    ]
    large = report(ORIN_NANO_JETPACK_7, tmp_path / "large", published_manifest(MODELS[2], "fp16", "jetpack7"))
    assert not large.ok
    assert "not enough memory for one slot" in said(large, stops=True)[0]


def test_a_full_disk_is_told_for_a_bundle(tmp_path: Path) -> None:
    survey = AGX_ORIN.survey(tmp_path)
    full = replace(survey, disk=replace(survey.disk, free=5 * 10**9))
    manifest = published_manifest(MODELS[0], "fp16", "jetpack6")
    [text] = said(judge(full, manifest), stops=False)
    assert text.startswith("4.66 GiB is free in ") and "--plans chooses another folder" in text
    assert judge(full).advice == []


def test_what_another_version_left_in_the_cache_is_told(demo_model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old = shutil.copytree(demo_model, cache / "demo-0000000000000000")
    size = sum(path.stat().st_size for path in old.iterdir())
    found = report(AGX_ORIN, tmp_path)
    assert found.ok and found.survey.cache == Cache(cache, size, size)
    assert said(found, stops=False) == [
        f"{size_text(size)} in {cache} can never be used by this version: 'edgevlm cache prune' removes it."
    ]
    assert f"{size_text(size)} in {cache}, {size_text(size)} of it not usable" in as_text(found)


def test_a_cpu_bundle_is_judged_for_onnx_runtime_on_a_jetson_too(demo_model: Path, tmp_path: Path) -> None:
    broken = AGX_ORIN.with_packages(tensorrt=None)
    assert report(broken, tmp_path / "cpu", read_manifest(demo_model)).ok
    assert not report(broken, tmp_path / "any").ok


@pytest.mark.slow
def test_a_trial_that_crashes_or_fails_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = this_interpreter().try_code
    assert attempt("print('here')") == Trial(True, "here")
    assert attempt("import os; os.abort()") == Trial(False, "the process ended with code -6")
    assert attempt("raise SystemExit('TensorRT is not installed.')") == Trial(False, "TensorRT is not installed")
    monkeypatch.setattr(software, "TRIAL_SECONDS", 0.2)
    assert not attempt("import time; time.sleep(60)").done
