"""A bundle becomes TensorRT plans in its plans folder. Knows files, memory and the order of work, no TensorRT.

Plans are built where they will run: TensorRT times its kernels on the device's own GPU. That takes minutes, once.
"""

import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
from edgevlm_engines import available_memory, size_text
from edgevlm_engines.bundle import DECODER, DECODER_WEIGHTS, VISION, VISION_WEIGHTS, Bundle
from edgevlm_engines.errors import PlanError
from edgevlm_engines.plan_cache import (
    DECODER_PLAN,
    SIDECAR,
    VISION_PLAN,
    PlanShape,
    Target,
    check_flavour,
    describe,
    open_plans,
    plan_key,
)
from edgevlm_engines.trt.library import library_for

from edgevlm_export.bundle_writer import Progress, file_table, new_folder
from edgevlm_export.errors import AttentionError, ExportError
from edgevlm_export.folder_lock import alone
from edgevlm_export.trt.effort import LEVEL, WORKSPACE, Effort
from edgevlm_export.trt.model import allow_decomposition, load_graph, set_capacity
from edgevlm_export.trt.profiles import decoder_profiles, vision_profiles
from edgevlm_export.unfinished import remove_left

log = logging.getLogger(__name__)

TIMINGS = "timing.cache"

_KEPT_FREE = 0.1
"""Of the memory that is left: for whatever else runs there, since the system ends a process that takes the last."""

_PLAN_SIZE = 1.7
"""A plan's size over its weights', at most: in fp16 the profiles keep some matrices in layouts of their own."""

NewProgress = Callable[[str], Progress]
"""Makes what is told of one plan's building, from its title."""


def build_plans(
    bundle: Bundle,
    shape: PlanShape,
    folder: Path,
    target: Target,
    *,
    workspace: int = WORKSPACE,
    level: int = LEVEL,
    progress: NewProgress = lambda title: Progress(),
    waiting: Callable[[], None] = lambda: None,
) -> Path:
    """Build a bundle's plans in the plans folder `folder`, or find them there whole; return the folder of these two.

    `waiting` is called if another process builds here. Raises `PlanError` or `ExportError` with one sentence.
    """
    check_flavour(bundle.manifest, target)
    with alone(folder, "choose another folder with --plans", waiting):
        own = folder / plan_key(bundle.manifest, shape, target)
        if not _usable(folder, own, bundle, shape, target):
            _check_room(bundle, folder)
            _build(bundle, shape, own, target, _effort(workspace, level), progress)
    return own


def _usable(folder: Path, own: Path, bundle: Bundle, shape: PlanShape, target: Target) -> bool:
    """Whether the plans are there and whole. What is damaged is removed, and what a crash left."""
    remove_left(folder)
    if not own.exists():
        return False
    try:
        open_plans(folder, bundle, shape, target)
    except PlanError:
        shutil.rmtree(own, ignore_errors=True)
        return False
    return True


def _check_room(bundle: Bundle, folder: Path) -> None:
    """Now, and not after an hour's work."""
    files = bundle.manifest.files
    needed = int(_PLAN_SIZE * (files[VISION_WEIGHTS].size + files[DECODER_WEIGHTS].size))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(
            f"The plans need about {size_text(needed)} in {folder}, and {size_text(free)} are free there; make room, "
            "or choose another folder with --plans."
        )


def _effort(workspace: int, level: int) -> Effort:
    """TensorRT would take three quarters of all memory; here it may take what is left of it, less a tenth."""
    available = available_memory()
    memory = None if available is None else int((1 - _KEPT_FREE) * available)
    return Effort(workspace=workspace, memory=memory, level=level)


def _build(
    bundle: Bundle, shape: PlanShape, own: Path, target: Target, effort: Effort, progress: NewProgress
) -> None:
    """The small plan first: what cannot work shows soon."""
    from edgevlm_export.trt.compiler import compile_graph

    library = library_for(bundle.manifest.device)
    vision, decoder = vision_profiles(bundle.manifest), decoder_profiles(bundle.manifest, shape)
    with new_folder(own) as unfinished:
        for graph, name, profiles in ((VISION, VISION_PLAN, vision), (DECODER, DECODER_PLAN, decoder)):
            model = load_graph(bundle.path(graph))
            set_capacity(model, shape.capacity)
            compiling = partial(
                compile_graph,
                path=bundle.path(graph),
                profiles=profiles,
                effort=effort,
                library=library,
                timings=own.parent / TIMINGS,
                progress=progress(f"Building {name}"),
            )
            _write_plan(model, compiling, unfinished / name)
        sidecar = describe(bundle.manifest, shape, target, file_table(unfinished))
        (unfinished / SIDECAR).write_text(sidecar.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _write_plan(model: onnx.ModelProto, compiling: Callable[[bytes], bytes], plan: Path) -> None:
    """One graph, one plan. Nothing of it stays in memory: the next needs the gigabytes."""
    try:
        plan.write_bytes(compiling(model.SerializeToString()))
    except AttentionError as error:
        log.warning("%s It is built of several kernels, and will be slower.", error)
        allow_decomposition(model)
        plan.write_bytes(compiling(model.SerializeToString()))
