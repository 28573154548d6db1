"""What is wrong with a machine, a sentence each with what to do about it. Judges a survey; reads nothing itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from edgevlm_engines import Manifest, size_text
from edgevlm_engines.plan_cache import NATIVE_SINCE
from edgevlm_engines.version import version_numbers, version_text

from edgevlm.doctor.board import THOR, jetpack
from edgevlm.doctor.fit import SPLIT_SINCE, export_device, runs_rtx
from edgevlm.doctor.survey import Survey

GIB = 2**30
SMALL_MEMORY = 9 * GIB
"""A module of 8 GB shows some 7.5 GiB, the next larger one 15."""

BINDINGS = {12: "cuda-python==12.6.2.post1", 13: "cuda-bindings==13.2.0"}
"""By CUDA's major version. Of cuda-bindings there is no 12.6 for Jetson's Python; cuda-python holds the same."""

PYTHONS = {36: "3.10", 39: "3.12"}
"""The Python for which each release of Jetson's system has TensorRT."""


@dataclass(frozen=True, slots=True)
class Advice:
    """`stops`: the engine cannot start before it is done. Other advice is about speed, and what may end it later."""

    stops: bool
    text: str


def advise(
    survey: Survey, manifest: Manifest | None = None, slots: int | None = None, asked: int | None = None
) -> list[Advice]:
    """For serving a bundle, or one made for this machine; what stops comes first.

    Of the slots that are `asked` for, so many `slots` of the bundle find room. Without a bundle the engine is
    TensorRT on a Jetson, TensorRT-RTX on a PC where it works, and ONNX Runtime elsewhere.
    """
    stops = [*_engine(survey, manifest)]
    if manifest is not None:
        stops += [*_bundle(survey, manifest, slots)]
    slows = [*_room(slots, asked), *_power(survey), *_memory(survey), *_disk(survey, manifest)]
    slows += [*_wheels(survey), *_heat(survey), *_cache(survey)]
    return [*(Advice(True, text) for text in stops), *(Advice(False, text) for text in slows)]


def _engine(survey: Survey, manifest: Manifest | None) -> Iterator[str]:
    """Whatever keeps the engine from starting."""
    if manifest is None:
        on_jetson, on_rtx = survey.board.jetson, runs_rtx(survey) or _has_rtx_alone(survey)
    else:
        on_jetson, on_rtx = manifest.flavour != "ort", manifest.device == "rtx"
    if on_rtx:
        return _tensorrt_rtx(survey)
    return _tensorrt(survey) if on_jetson else _onnxruntime(survey, manifest)


def _has_rtx_alone(survey: Survey) -> bool:
    software = survey.software
    return not survey.board.jetson and software.tensorrt_rtx is not None and not software.runtimes


def _tensorrt_rtx(survey: Survey) -> Iterator[str]:
    software = survey.software
    if survey.board.jetson:
        device = export_device(survey) or "jetpack7"
        yield f"The bundle is for TensorRT-RTX on a PC: export it with --device {device}."
    elif software.tensorrt_rtx is None:
        yield "TensorRT-RTX is not installed: install edgevlm with its 'rtx' extra."
    elif software.bindings is None:
        yield "CUDA's Python bindings are missing: install edgevlm with its 'rtx' extra."
    elif software.target is not None and not software.target.done:
        yield f"TensorRT-RTX and CUDA do not work together here: {software.target.text}."


def _tensorrt(survey: Survey) -> Iterator[str]:
    board, software = survey.board, survey.software
    if not board.jetson:
        if software.tensorrt is not None and software.target is not None and software.target.done:
            return
        yield (
            "This is not a Jetson: TensorRT bundles are built and run on the Jetson itself; for this machine, export "
            f"with --device {export_device(survey)}."
        )
        return
    yield from _release(survey)
    if software.tensorrt is None:
        yield _tensorrt_missing(survey)
    elif version_numbers(software.tensorrt.version) < SPLIT_SINCE:
        yield f"TensorRT {software.tensorrt.version} is too old: at least JetPack 6.1 with 10.3 is needed."
    yield from _bindings(survey)
    if software.target is not None and not software.target.done:
        yield f"TensorRT and CUDA do not work together here: {software.target.text}."


def _release(survey: Survey) -> Iterator[str]:
    board = survey.board
    name = jetpack(board.release)
    if board.release is None:
        yield "/etc/nv_tegra_release is missing or cannot be read: this system is not NVIDIA's Jetson Linux."
    elif board.release_numbers[0] == 38 and board.chip != THOR:
        yield f"L4T {board.release} is {name}, which is for Thor only: an Orin needs JetPack 6.2 or 7.2."
    elif board.release_numbers < (36, 4):
        yield f"L4T {board.release} ({name or 'an old JetPack'}): TensorRT is too old; install JetPack 6.2 or 7.2."


def _tensorrt_missing(survey: Survey) -> str:
    board, software = survey.board, survey.software
    wanted = PYTHONS.get(board.release_numbers[0]) if board.release else None
    if wanted and not software.python.startswith(f"{wanted}."):
        return (
            f"This is Python {software.python}, and TensorRT of this system is for {wanted}: make the virtual "
            f"environment with 'python{wanted} -m venv --system-site-packages'."
        )
    if software.tensorrt_outside:
        return (
            "TensorRT is installed, but this virtual environment does not see it: make it again with "
            "'python3 -m venv --system-site-packages'."
        )
    return (
        "TensorRT is not installed for Python: 'sudo apt install python3-libnvinfer', and a virtual environment made "
        "with --system-site-packages; PyPI has none for Jetson."
    )


def _bindings(survey: Survey) -> Iterator[str]:
    cuda, package = survey.board.cuda, survey.software.bindings
    major = version_numbers(cuda)[:1] if cuda else ()
    pin = BINDINGS.get(major[0] if major else 12 if survey.software.python.startswith("3.10.") else 13)
    if pin is None:
        return
    if package is None:
        yield f"CUDA's Python bindings are missing: 'pip install {pin}', or edgevlm with its 'jetson' extra."
    elif major and version_numbers(package.version)[:1] != major:
        yield f"{package.name} {package.version} is not for CUDA {cuda}: 'pip install {pin}'."


def _onnxruntime(survey: Survey, manifest: Manifest | None) -> Iterator[str]:
    software = survey.software
    if not software.runtimes:
        yield "ONNX Runtime is not installed: install edgevlm with its 'cpu' or 'gpu' extra."
    elif not software.providers:
        yield "ONNX Runtime is installed but cannot be imported: install it again."
    elif manifest is not None and manifest.device == "cuda" and "CUDAExecutionProvider" not in software.providers:
        yield (
            "The bundle is for CUDA, and this ONNX Runtime has no CUDA in it: install edgevlm with its 'gpu' extra, "
            "or export with --device cpu."
        )


def _bundle(survey: Survey, manifest: Manifest, slots: int | None) -> Iterator[str]:
    tensorrt = survey.software.tensorrt
    if manifest.device == "jetpack7" and tensorrt and version_numbers(tensorrt.version) < NATIVE_SINCE:
        least = version_text(NATIVE_SINCE)
        yield f"The bundle needs TensorRT {least}, and this is {tensorrt.version}: export it with --device jetpack6."
    if slots == 0:
        yield (
            "There is not enough memory for one slot of this bundle: stop other programs, or export it with fewer "
            "bits (--precision)."
        )


def _room(slots: int | None, asked: int | None) -> Iterator[str]:
    if slots and asked and slots < asked:
        yield f"{slots} of {asked} slots fit into memory now: pass '--max-batch {slots}' to serve and to build."


def _power(survey: Survey) -> Iterator[str]:
    active, best = survey.power.active, survey.power.best
    if best and active and best != active:
        yield f"Power mode {active.name} limits the clocks: 'sudo nvpmodel -m {best.number}' sets {best.name}."
    elif best and not active:
        yield f"The active power mode is unknown: 'sudo nvpmodel -m {best.number}' sets {best.name}."
    clocks = {"CPU": survey.device.cpu_clock, "GPU": survey.device.clock("gpu0")}
    loose = [name for name, clock in clocks.items() if clock and not clock.pinned]
    if survey.board.jetson and loose:
        yield f"{' and '.join(loose)} clocks change with the load: 'sudo jetson_clocks' pins them until a restart."


def _memory(survey: Survey) -> Iterator[str]:
    memory = survey.memory
    if not survey.board.jetson or memory.total is None or memory.total > SMALL_MEMORY:
        return
    if memory.swap == 0:
        yield (
            "There is no swap on disk, and 8 GB is little for building plans: create a swap file of 8 GB or more on "
            "the NVMe disk ('fallocate', 'mkswap', 'swapon')."
        )
    if survey.desktop:
        yield "A desktop takes memory: 'sudo systemctl set-default multi-user.target' and a restart turn it off."


def _disk(survey: Survey, manifest: Manifest | None) -> Iterator[str]:
    free = survey.disk.free
    if manifest is None or manifest.flavour == "ort" or free is None:
        return
    needed = 2 * sum(file.size for file in manifest.files.values())
    if free < needed:
        yield (
            f"{size_text(free)} is free in {survey.disk.folder}: plans may take twice as much as the bundle "
            f"({size_text(needed)}); --plans chooses another folder."
        )


def _wheels(survey: Survey) -> Iterator[str]:
    names = {package.name: package for package in survey.software.runtimes}
    gpu = names.get("onnxruntime-gpu")
    if len(names) > 1:
        yield "onnxruntime and onnxruntime-gpu overwrite each other: uninstall both and install one of them."
    if gpu and survey.board.jetson and "manylinux" in gpu.tag:
        yield (
            f"onnxruntime-gpu {gpu.version} is PyPI's build, which holds no code for Orin's GPU (SM87; looked at in "
            "1.31.1): use TensorRT bundles, and onnxruntime for the CPU."
        )
    if survey.board.chip == THOR:
        yield "This is a Thor: edgevlm was neither written for it nor tested on it."


def _heat(survey: Survey) -> Iterator[str]:
    for zone in survey.device.zones:
        if zone.throttles_at is not None and zone.temperature >= zone.throttles_at:
            yield f"{zone.name} is at {zone.temperature:.0f} °C and slows down at {zone.throttles_at:.0f}: cool it."


def _cache(survey: Survey) -> Iterator[str]:
    cache = survey.cache
    if cache.useless:
        yield (
            f"{size_text(cache.useless)} in {cache.folder} can never be used by this version: 'edgevlm cache prune' "
            "removes it."
        )
