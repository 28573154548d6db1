"""The NVIDIA GPUs of a PC, through NVML. A Jetson tells the same in its files, and is not asked here.

The library (`nvidia-ml-py`, edgevlm's `nvml` extra) is imported late and need not be there. What a GPU does not
support is left out.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgevlm_server.device.clocks import Clock, Gpu
from edgevlm_server.device.fans import Fan
from edgevlm_server.device.rails import Rail, sum_of_all
from edgevlm_server.device.thermal import Cooler, Trip, Zone

log = logging.getLogger(__name__)

REASONS = {
    "power-cap": "nvmlClocksEventReasonSwPowerCap",
    "power-brake": "nvmlClocksEventReasonHwPowerBrakeSlowdown",
    "thermal": "nvmlClocksEventReasonSwThermalSlowdown",
    "thermal-hardware": "nvmlClocksEventReasonHwThermalSlowdown",
}
"""Why a GPU runs slower than it could; that it is idle or was told to is none of them."""


@dataclass(frozen=True, slots=True)
class GpuReadings:
    """What one GPU says, in the same terms as a Jetson's files."""

    gpu: Gpu
    clocks: tuple[Clock, ...]
    watts: float | None
    zones: tuple[Zone, ...]
    coolers: tuple[Cooler, ...]
    fans: tuple[Fan, ...]

    @property
    def rail(self) -> tuple[Rail, ...]:
        return () if self.watts is None else (Rail(self.gpu.name, self.watts),)


class Nvml:
    """All GPUs of this machine. Made by `open_nvml`; not safe for two threads at once."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())]
        self._said: set[str] = set()

    def read(self) -> tuple[GpuReadings, ...]:
        return tuple(self._read(f"gpu{index}", handle) for index, handle in enumerate(self._handles))

    def watts(self) -> float | None:
        """Of all of them; `None` if one does not say."""
        return self._sum("nvmlDeviceGetPowerUsage")

    def joules(self) -> float | None:
        """Since the driver was loaded, by the GPUs' own counters; `None` if one has none."""
        return self._sum("nvmlDeviceGetTotalEnergyConsumption")

    def close(self) -> None:
        self._ask("nvmlShutdown")

    def _read(self, name: str, handle: Any) -> GpuReadings:
        load = self._ask("nvmlDeviceGetUtilizationRates", handle)
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        return GpuReadings(
            gpu=Gpu(
                name,
                None if load is None else load.gpu / 100,
                None if memory is None else memory.used,
                None if memory is None else memory.total,
            ),
            clocks=(
                *self._clock(name, handle, self._library.NVML_CLOCK_SM),
                *self._clock(f"{name}-memory", handle, self._library.NVML_CLOCK_MEM),
            ),
            watts=self._thousandths("nvmlDeviceGetPowerUsage", handle),
            zones=self._zone(name, handle),
            coolers=self._coolers(name, handle),
            fans=self._fans(name, handle),
        )

    def _clock(self, name: str, handle: Any, kind: int) -> tuple[Clock, ...]:
        questions = ("nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo")
        megahertz = (self._ask(question, handle, kind) for question in questions)
        now, most = (None if value is None else 1_000_000 * value for value in megahertz)
        return () if now is None and most is None else (Clock(name, now, None, most),)

    def _zone(self, name: str, handle: Any) -> tuple[Zone, ...]:
        temperature = self._ask("nvmlDeviceGetTemperature", handle, self._library.NVML_TEMPERATURE_GPU)
        if temperature is None:
            return ()
        trips = {
            "passive": self._library.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,
            "critical": self._library.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,
        }
        found = {kind: self._ask("nvmlDeviceGetTemperatureThreshold", handle, which) for kind, which in trips.items()}
        return (Zone(name, temperature, tuple(Trip(kind, value) for kind, value in found.items() if value)),)

    def _coolers(self, name: str, handle: Any) -> tuple[Cooler, ...]:
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
        if reasons is None:
            return ()
        bits = {reason: getattr(self._library, constant) for reason, constant in REASONS.items()}
        return tuple(Cooler(f"{name}-{reason}", int(bool(reasons & bit)), 1, True) for reason, bit in bits.items())

    def _fans(self, name: str, handle: Any) -> tuple[Fan, ...]:
        speeds = [
            self._ask("nvmlDeviceGetFanSpeed_v2", handle, fan)
            for fan in range(self._ask("nvmlDeviceGetNumFans", handle) or 0)
        ]
        return tuple(Fan(f"{name}-{fan}", speed / 100, None) for fan, speed in enumerate(speeds) if speed is not None)

    def _thousandths(self, question: str, handle: Any) -> float | None:
        value: int | None = self._ask(question, handle)
        return None if value is None else value / 1000

    def _sum(self, question: str) -> float | None:
        return sum_of_all([self._thousandths(question, handle) for handle in self._handles])

    def _ask(self, question: str, *arguments: Any) -> Any:
        """`None` where the GPU does not support it, or fails to answer; the latter is said once in the log."""
        try:
            return getattr(self._library, question)(*arguments)
        except self._library.NVMLError_NotSupported:
            return None
        except self._library.NVMLError as error:
            if question not in self._said:
                self._said.add(question)
                log.info("NVML does not answer %s: %s; it is left out.", question, error)
            return None


def open_nvml(load: Callable[[], Any] | None = None) -> Nvml | None:
    """`None` without the library, without NVIDIA's driver and without a GPU. `load` imports the library."""
    try:
        library = (load or _import)()
    except ImportError:
        return None
    try:
        library.nvmlInit()
        nvml = Nvml(library)
    except library.NVMLError as error:
        log.debug("No NVML: %s", error)
        return None
    return nvml if nvml.read() else None


def _import() -> Any:
    import pynvml

    return pynvml
