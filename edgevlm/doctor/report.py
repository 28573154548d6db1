"""A survey as text: what there is, what fits, what to do; and the table of ceilings. Knows no files."""

from collections.abc import Iterable, Iterator, Sequence

from edgevlm_engines import Demand, Manifest, plan_memory, size_text
from edgevlm_server.device.clocks import Clock
from edgevlm_server.device.fans import Fan

from edgevlm.doctor.advice import Advice
from edgevlm.doctor.board import jetpack
from edgevlm.doctor.ceilings import MEMORIES, MODELS, PAST, PRECISIONS, ceiling, weight_bytes
from edgevlm.doctor.fit import Fit, published_manifest
from edgevlm.doctor.judge import Report, demand
from edgevlm.doctor.survey import Survey

UNKNOWN = "unknown"
PUBLISHED = "MobileVLM_V2-1.7B"


def as_text(report: Report, manifest: Manifest | None = None) -> str:
    """For people."""
    asked = demand(manifest.max_length if manifest else None)
    parts = [facts(report.survey, report.bandwidth)]
    if report.fits:
        parts.append(fits_table(report.fits, asked.slots, asked.max_length))
    if manifest is None and report.device is not None:
        parts.append(_commands(report, asked))
    return "\n\n".join([*parts, advice_text(report.advice)])


def facts(survey: Survey, bandwidth: float | None) -> str:
    """One line for each thing."""
    lines = {
        "board": _board(survey),
        "system": _system(survey),
        "driver": f"{survey.board.driver or 'none'}, CUDA {survey.board.cuda or 'none'}",
        "TensorRT": _tensorrt(survey),
        "CUDA for Python": _package_names([survey.software.bindings] if survey.software.bindings else []),
        "ONNX Runtime": _runtimes(survey),
        "memory": _memory(survey, bandwidth),
        "disk": f"{_size(survey.disk.free)} free in {survey.disk.folder}",
        "cache": _cache(survey),
        "power mode": _power(survey),
        "clocks": _clocks(survey),
        "temperature": _temperature(survey),
        **_device(survey),
    }
    return "\n".join(f"{name:<16}{text}" for name, text in lines.items())


def fits_table(fits: Sequence[Fit], slots: int, length: int) -> str:
    """What each model takes and reaches at best."""
    title = f"max. tokens/s, one slot, {PAST} past"
    lines = [
        (fit.model, fit.precision, decimal_text(fit.weights), _number(fit.ceiling), _slots(fit.slots)) for fit in fits
    ]
    return table(("model", "precision", "weights a step", title, f"slots of {length} that fit, of {slots}"), lines)


def ceilings_table(demand: Demand) -> str:
    """For every module that is known, in Markdown: on paper, and nothing about this machine.

    A model does not fit where a server for this demand would take more than the module has.
    """
    modules = (f"{one.name}, {one.bandwidth / 1e9:.1f} GB/s" for one in MEMORIES)
    lines = []
    for model in MODELS:
        for precision in PRECISIONS:
            read = weight_bytes(model, precision) + PAST * model.position_bytes
            taken = plan_memory(published_manifest(model, precision, "jetpack7"), demand, "shared").total
            cells = (
                f"{ceiling(model, precision, one.bandwidth):.0f}" if taken < 1e9 * one.size else "does not fit"
                for one in MEMORIES
            )
            lines.append((model.name, precision, decimal_text(read), decimal_text(taken), *cells))
    return table(("model", "precision", "read a step", "memory, one slot", *modules), lines)


def advice_text(advice: Sequence[Advice]) -> str:
    """A line each."""
    if not advice:
        return "Nothing is wrong."
    return "\n".join(f"- {'must' if one.stops else 'should'}: {one.text}" for one in advice)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown: two columns of words, then figures."""
    rule = [":---" if index < 2 else "---:" for index in range(len(columns))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rule, *rows))


def decimal_text(count: int) -> str:
    """Bytes, in units of 10^9, as bandwidths are stated."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _commands(report: Report, demand: Demand) -> str:
    """For the most exact precision of which one slot fits; on a CPU, what export does by itself."""
    fit = next((fit for fit in report.fits if fit.model == PUBLISHED and fit.slots), None)
    bundle = f"bundles/{PUBLISHED.removeprefix('MobileVLM_').lower()}"
    export = f"edgevlm export {PUBLISHED} {bundle} --device {report.device}"
    if fit is None:
        return f"To export, here or on a PC: {export}"
    shape = f"{bundle} --max-batch {fit.slots} --max-length {demand.max_length}"
    return (
        f"To export, here or on a PC: {export} --precision {fit.precision}\n"
        f"To serve it here: edgevlm build {shape} && edgevlm serve {shape}"
    )


def _board(survey: Survey) -> str:
    board = survey.board
    return f"{board.model} ({board.module}, {board.machine})" if board.module else f"{board.model} ({board.machine})"


def _system(survey: Survey) -> str:
    release = survey.board.release
    named = f"L4T {release} ({jetpack(release) or 'an unknown JetPack'}), " if release else ""
    return f"{named}Python {survey.software.python}{' in a virtual environment' if survey.software.in_venv else ''}"


def _tensorrt(survey: Survey) -> str:
    software = survey.software
    if software.tensorrt is None and software.tensorrt_rtx is not None:
        named = f"TensorRT-RTX {software.tensorrt_rtx.version}"
        if software.target is None:
            return named
        return software.target.text if software.target.done else f"{named}: {software.target.text}"
    if software.tensorrt is None:
        return "on the system, but not visible to this Python" if software.tensorrt_outside else "none"
    if software.target is None:
        return software.tensorrt.version
    return software.target.text if software.target.done else f"{software.tensorrt.version}: {software.target.text}"


def _package_names(packages: Iterable[tuple[str, str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version, _ in packages) or "none"


def _runtimes(survey: Survey) -> str:
    names = _package_names(survey.software.runtimes)
    return f"{names}: {', '.join(survey.software.providers)}" if survey.software.providers else names


def _memory(survey: Survey, bandwidth: float | None) -> str:
    memory = survey.memory
    speed = f"; {bandwidth / 1e9:.1f} GB/s at most in this mode" if bandwidth else ""
    swap = f"swap {size_text(memory.swap)}, zram {size_text(memory.zram)}"
    return f"{_size(memory.total)}, {_size(memory.available)} available, {swap}{speed}"


def _cache(survey: Survey) -> str:
    cache = survey.cache
    useless = f", {size_text(cache.useless)} of it not usable by this version" if cache.useless else ""
    return f"{size_text(cache.size)} in {cache.folder}{useless}"


def _power(survey: Survey) -> str:
    power = survey.power
    if not power.modes:
        return "none: this is not a Jetson"
    active = f"{power.active.name} ({power.active.number})" if power.active else UNKNOWN
    return f"{active}, of {', '.join(f'{mode.name} ({mode.number})' for mode in power.modes)}"


def _clocks(survey: Survey) -> str:
    device = survey.device
    named = {"CPU": device.cpu_clock, "GPU": device.clock("gpu0"), "memory": device.clock("emc")}
    return ", ".join(f"{name} {_clock(clock)}" for name, clock in named.items() if clock) or UNKNOWN


def _clock(clock: Clock) -> str:
    now = "" if clock.now is None else f"{clock.now / 1e6:.0f} of "
    most = "unknown" if clock.most is None else f"{clock.most / 1e6:.0f}"
    return f"{now}{most} MHz{', pinned' if clock.pinned else ''}"


def _temperature(survey: Survey) -> str:
    return ", ".join(_zones(survey)) or UNKNOWN


def _zones(survey: Survey) -> Iterator[str]:
    for zone in survey.device.zones:
        limit = "" if zone.throttles_at is None else f" (slows down at {zone.throttles_at:.0f})"
        yield f"{zone.name} {zone.temperature:.0f} °C{limit}"


def _device(survey: Survey) -> dict[str, str]:
    """What a Jetson and a PC's GPUs say of themselves; a line that nothing is known for is not there."""
    device = survey.device
    slowed = [cooler.name for cooler in device.coolers if cooler.throttling]
    lines = {
        "GPU": [f"{gpu.name} {100 * gpu.load:.0f} % busy" for gpu in device.gpus if gpu.load is not None],
        "power": [f"{rail.name} {rail.watts:.1f} W" for rail in device.rails if rail.watts is not None],
        "slowed down": [] if device.throttling is None else slowed or ["nothing"],
        "overcurrent": [f"{one.line} {one.events} times since its start" for one in device.overcurrent if one.events],
        "fans": [_fan(fan) for fan in device.fans],
    }
    return {name: ", ".join(texts) for name, texts in lines.items() if texts}


def _fan(fan: Fan) -> str:
    drive = "" if fan.drive is None else f" {100 * fan.drive:.0f} %"
    turns = "" if fan.rpm is None else f" {fan.rpm} rpm"
    return fan.name + drive + turns


def _size(size: int | None) -> str:
    return UNKNOWN if size is None else size_text(size)


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f}"


def _slots(slots: int | None) -> str:
    return UNKNOWN if slots is None else str(slots)
