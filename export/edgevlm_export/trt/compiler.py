"""One graph becomes one plan. Knows TensorRT's builder and parser; no bundles and no models.

Written for TensorRT 10.3 to 11 and for TensorRT-RTX: graphs say the type of everything themselves, so no flag of a
precision is set (the newer ones have none).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevlm_engines.trt.library import Library
from edgevlm_engines.trt.log import one_line

from edgevlm_export.bundle_writer import Progress
from edgevlm_export.errors import AttentionError, ExportError
from edgevlm_export.trt.effort import Effort
from edgevlm_export.trt.phases import Phases
from edgevlm_export.trt.profiles import Profile

if TYPE_CHECKING:
    import tensorrt

log = logging.getLogger(__name__)

UNUSED = "Unused Input"
"""What the builder says of an input that it drops. Attention's lengths are dropped so, and the answers are wrong."""

NO_KERNEL = "not supported by a dedicated kernel"
"""What the builder says of an attention that it could only compute in several kernels, if that was allowed."""


def compile_graph(
    model: bytes,
    path: Path,
    profiles: Sequence[Profile],
    effort: Effort,
    library: Library,
    *,
    timings: Path | None = None,
    progress: Progress | None = None,
) -> "tensorrt.IHostMemory":
    """The plan of a graph, as a buffer of TensorRT's. `model` is the graph, its weights are read beside `path`.

    `timings` is a file in which kernels' times are kept from one build to the next. Raises `ExportError`,
    and `AttentionError` for an attention that has no kernel of its own.
    """
    said = library.log
    said.clear()
    try:
        builder = library.tensorrt.Builder(said.listener)
    except (TypeError, RuntimeError):  # what the bindings make of a null pointer
        raise ExportError(f"{library.software} cannot start its builder: {said.complaint}.") from None
    config = builder.create_builder_config()
    _configure(config, effort, library)
    cache = _load_timings(config, timings)
    said.clear()  # times of another device are an error there, and none here
    network = builder.create_network(1 << int(library.tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    # the network's weights are the parser's until the plan is there
    parser = _parse(model, path, network, library)
    _add_profiles(builder, config, network, profiles, path, library)
    steps = _Steps(Phases(progress or Progress()))
    config.progress_monitor = _monitor(library, steps)
    plan = builder.build_serialized_network(network, config)
    del parser
    if steps.failure is not None:
        raise steps.failure
    if plan is None:
        cause = AttentionError if any(NO_KERNEL in line for line in said.lines) else ExportError
        raise cause(f"{library.software} cannot build {path.name}: {said.complaint}.")
    _refuse_unused(path, library)
    if cache is not None and timings is not None:
        _save_timings(config, timings)
    steps.phases.close()
    return plan


def _parse(
    model: bytes, path: Path, network: "tensorrt.INetworkDefinition", library: Library
) -> "tensorrt.OnnxParser":
    parser = library.tensorrt.OnnxParser(network, library.log.listener)
    if parser.parse(model, path=str(path)):
        return parser
    errors = [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
    for error in errors:
        log.error("%s: %s", path.name, error)
    raise ExportError(
        f"{library.software} cannot read {path.name}: {errors[0] if errors else library.log.complaint}."
    )


def _parser_error(error: "tensorrt.ParserError") -> str:
    where = f"node '{error.node_name()}' ({error.node_operator()})" if error.node_operator() else "the graph"
    return f"{where}: {one_line(error.desc())}"


def _configure(config: "tensorrt.IBuilderConfig", effort: Effort, library: Library) -> None:
    config.set_memory_pool_limit(library.tensorrt.MemoryPoolType.WORKSPACE, effort.workspace)
    if effort.memory is not None:
        # only powers of two are taken, as for the memory of a DLA: the next one below
        limit = 1 << (effort.memory.bit_length() - 1)
        config.set_memory_pool_limit(library.tensorrt.MemoryPoolType.TACTIC_DRAM, limit)
    config.builder_optimization_level = effort.level
    # where a graph says float32 it means it
    config.clear_flag(library.tensorrt.BuilderFlag.TF32)


def _add_profiles(
    builder: "tensorrt.Builder",
    config: "tensorrt.IBuilderConfig",
    network: "tensorrt.INetworkDefinition",
    profiles: Sequence[Profile],
    path: Path,
    library: Library,
) -> None:
    """Every input with a free dimension needs its range in every profile."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    free = {tensor.name for tensor in inputs if -1 in tuple(tensor.shape)}
    for ranges in profiles:
        if free - set(ranges) or set(ranges) - {tensor.name for tensor in inputs}:
            raise ExportError(f"{path.name} has other inputs than this version of edgevlm builds plans for.")
        profile = builder.create_optimization_profile()
        for name in sorted(free):
            profile.set_shape(name, min=ranges[name].least, opt=ranges[name].usual, max=ranges[name].most)
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(f"{library.software} does not take the ranges of the inputs of {path.name}.")


def _refuse_unused(path: Path, library: Library) -> None:
    for line in library.log.lines:
        if UNUSED in line:
            raise ExportError(
                f"{library.software} ignores an input of a node of {path.name}, so the plan would answer wrongly: "
                f"{one_line(line)}."
            )


def _load_timings(config: "tensorrt.IBuilderConfig", path: Path | None) -> "tensorrt.ITimingCache | None":
    """What was timed before, if it is for this TensorRT and this device; else an empty cache."""
    if path is None:
        return None
    stored = path.read_bytes() if path.is_file() else b""
    if stored and (cache := _timings(config, stored)) is not None:
        return cache
    return _timings(config, b"")


def _timings(config: "tensorrt.IBuilderConfig", content: bytes) -> "tensorrt.ITimingCache | None":
    cache = config.create_timing_cache(content)
    return cache if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False) else None


def _save_timings(config: "tensorrt.IBuilderConfig", path: Path) -> None:
    """Whole or not at all. Losing them costs the next build minutes and nothing else."""
    part = path.with_name(f".{path.name}.partial")
    try:
        part.write_bytes(config.get_timing_cache().serialize())
        part.replace(path)
    except OSError as error:
        log.warning("The kernels' times cannot be kept in %s: %s.", path, error.strerror)
        part.unlink(missing_ok=True)


class _Steps:
    """How far a build is. What goes wrong in telling it ends the build and is raised after it.

    An interruption by the keyboard comes here too: the main thread runs no other Python while a plan is built.
    """

    def __init__(self, phases: Phases) -> None:
        self.phases = phases
        self.failure: BaseException | None = None

    def done(self, phase: str, step: int) -> bool:
        """Whether to go on."""
        try:
            self.phases.step(phase, step)
        except BaseException as error:  # nothing may be raised through TensorRT
            self.failure = error
        return self.failure is None


def _monitor(library: Library, steps: _Steps) -> "tensorrt.IProgressMonitor":
    """Called by TensorRT while it builds."""
    base: Any = library.tensorrt.IProgressMonitor

    class Monitor(base):
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            log.debug("TensorRT begins %s: %d steps", phase_name, num_steps)
            steps.phases.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return steps.done(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            steps.phases.finish(phase_name)

    return Monitor()
