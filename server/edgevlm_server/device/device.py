"""The device that the server runs on: its state at this moment, and its energy since the start. Knows no metrics."""

import threading
import time
from dataclasses import replace
from pathlib import Path

from edgevlm_server.device.energy import EnergyMeter
from edgevlm_server.device.nvml import Nvml, open_nvml
from edgevlm_server.device.rails import has_total, read_total, sum_of_all
from edgevlm_server.device.root import Root
from edgevlm_server.device.state import DeviceState, read_state

FRESH_SECONDS = 1.0
"""So long a state is shared by those who ask: a page that many look at asks the sensors once."""

PATIENCE_SECONDS = 1.0
"""So long one waits for another who asks. One thread may hang on a sensor, and not one for each that looks."""


class Device:
    """Safe from any thread. Asking may take milliseconds, so nobody asks on the event loop."""

    def __init__(self, root: Root | None = None, nvml: Nvml | None = None) -> None:
        """`root` holds the machine's files; `nvml` is for a PC."""
        self._root = root or Root()
        self._nvml = nvml
        self._lock = threading.Lock()
        self._state: tuple[float, DeviceState] | None = None
        self._counted_before = None if nvml is None else nvml.joules()
        """What the GPUs' own counters said at the start, if they have any."""
        self._meter = self._start_meter()

    def state(self) -> DeviceState | None:
        """At most a second old; `None` while someone else waits for a sensor that does not answer."""
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            return None
        try:
            now = time.monotonic()
            if self._state is None or now - self._state[0] >= FRESH_SECONDS:
                self._state = (now, self._read())
            return self._state[1]
        finally:
            self._lock.release()

    def close(self) -> bool:
        """False if someone still waits for a sensor that does not answer."""
        if self._meter is not None:
            self._meter.close()
        quiet = self._lock.acquire(timeout=PATIENCE_SECONDS)
        if quiet:
            if self._nvml is not None:
                self._nvml.close()
            self._lock.release()
        return quiet

    def _read(self) -> DeviceState:
        return replace(read_device(self._root, self._nvml), joules=self._joules())

    def _joules(self) -> float | None:
        if self._nvml is not None and self._counted_before is not None:
            counted = self._nvml.joules()
            return None if counted is None else counted - self._counted_before
        return None if self._meter is None else self._meter.joules()

    def _start_meter(self) -> EnergyMeter | None:
        """`None` where GPUs count by themselves, and where there is nothing to ask: then no thread runs."""
        if self._counted_before is not None:
            return None
        if self._nvml is None and not has_total(self._root):
            return None
        meter = EnergyMeter(self._watts)
        meter.start()
        return meter

    def _watts(self) -> float | None:
        if self._nvml is None:
            return read_total(self._root)
        with self._lock:
            return self._nvml.watts()


def open_device(folder: Path = Path("/")) -> Device:
    """This machine, or one whose files lie in a folder. NVML is asked where the files know no GPU."""
    root = Root(folder)
    return Device(root, None if read_state(root).gpus else open_nvml())


def read_device(root: Root, nvml: Nvml | None) -> DeviceState:
    """Once, without watching: `joules` is `None`. GPUs are asked where the files know none."""
    state = read_state(root)
    return state if nvml is None or state.gpus else _with_gpus(state, nvml)


def _with_gpus(state: DeviceState, nvml: Nvml) -> DeviceState:
    found = nvml.read()
    return replace(
        state,
        gpus=(*state.gpus, *(one.gpu for one in found)),
        clocks=(*state.clocks, *(clock for one in found for clock in one.clocks)),
        rails=(*state.rails, *(rail for one in found for rail in one.rail)),
        watts=sum_of_all([one.watts for one in found]),
        zones=(*state.zones, *(zone for one in found for zone in one.zones)),
        coolers=(*state.coolers, *(cooler for one in found for cooler in one.coolers)),
        fans=(*state.fans, *(fan for one in found for fan in one.fans)),
    )
