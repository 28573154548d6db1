"""A device's state as Prometheus metrics. What the device does not say is not there: no series, and no zero.

Labels are names that the machine's own files give (rails, zones, clocks), never anything that a client sent.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgevlm_server.device.device import Device
from edgevlm_server.device.state import DeviceState

Samples = Iterable[tuple[tuple[str, ...], float | None]]
"""Values of the labels, and the sample's value, if there is one."""

PREFIX = "edgevlm_device_"


class Family(NamedTuple):
    """One metric: its name without prefix and `_total`, its help, its labels, and where its values are."""

    name: str
    text: str
    labels: tuple[str, ...]
    samples: Callable[[DeviceState], Samples]


GAUGES = (
    Family(
        "gpu_utilization_ratio",
        "How busy the GPU is, from 0 to 1.",
        ("gpu",),
        lambda state: (((one.name,), one.load) for one in state.gpus),
    ),
    Family(
        "gpu_memory_used_bytes",
        "Memory held for the GPU; on a Jetson it is part of the memory in use.",
        ("gpu",),
        lambda state: (((one.name,), one.memory_used) for one in state.gpus),
    ),
    Family(
        "gpu_memory_total_bytes",
        "Memory of the GPU's own; a Jetson has none.",
        ("gpu",),
        lambda state: (((one.name,), one.memory_total) for one in state.gpus),
    ),
    Family(
        "memory_used_bytes",
        "Memory that all programs use.",
        (),
        lambda state: [((), state.memory.used)],
    ),
    Family(
        "memory_available_bytes",
        "Memory that new work may take.",
        (),
        lambda state: [((), state.memory.available)],
    ),
    Family(
        "memory_total_bytes",
        "Memory that the system has, without what the firmware keeps.",
        (),
        lambda state: [((), state.memory.total)],
    ),
    Family(
        "clock_hertz",
        "Clocks now, of GPU, memory (emc) and groups of processors.",
        ("clock",),
        lambda state: (((one.name,), one.now) for one in state.clocks),
    ),
    Family(
        "clock_max_hertz",
        "What clocks may reach now.",
        ("clock",),
        lambda state: (((one.name,), one.most) for one in state.clocks),
    ),
    Family(
        "power_watts",
        "Power by rail; rails may be part of each other.",
        ("rail",),
        lambda state: (((one.name,), one.watts) for one in state.rails),
    ),
    Family(
        "total_power_watts",
        "Power of the whole module, or of a PC's GPUs.",
        (),
        lambda state: [((), state.watts)],
    ),
    Family(
        "temperature_celsius",
        "Temperatures.",
        ("zone",),
        lambda state: (((one.name,), one.temperature) for one in state.zones),
    ),
    Family(
        "trip_point_celsius",
        "Where something happens: active turns a fan, passive slows down, critical switches off.",
        ("zone", "trip", "type"),
        lambda state: (
            ((one.name, str(number), trip.kind), trip.temperature)
            for one in state.zones
            for number, trip in enumerate(one.trips)
        ),
    ),
    Family(
        "throttling",
        "1 while any part is slowed down, by heat or power.",
        (),
        lambda state: [((), state.throttling)],
    ),
    Family(
        "cooling_state",
        "What cools, fans and parts that are slowed down: 0 does nothing.",
        ("device",),
        lambda state: (((one.name,), one.state) for one in state.coolers),
    ),
    Family(
        "cooling_state_max",
        "The same at its strongest.",
        ("device",),
        lambda state: (((one.name,), one.most) for one in state.coolers),
    ),
    Family(
        "fan_drive_ratio",
        "How hard fans are driven, from 0 to 1.",
        ("fan",),
        lambda state: (((one.name,), one.drive) for one in state.fans),
    ),
    Family(
        "fan_rpm",
        "Turns of fans in a minute.",
        ("fan",),
        lambda state: (((one.name,), one.rpm) for one in state.fans),
    ),
    Family(
        "power_mode_info",
        "1; the power mode of a Jetson.",
        ("mode", "name"),
        lambda state: [((str(state.mode.number), state.mode.name or ""), 1)] if state.mode else [],
    ),
)
COUNTERS = (
    Family(
        "overcurrent_events",
        "Times that undervoltage (oc1) or overcurrent (oc2, oc3) slowed the device down, since it started.",
        ("line",),
        lambda state: (((one.line,), one.events) for one in state.overcurrent),
    ),
    Family(
        "energy_joules",
        "Energy of the whole module, or of a PC's GPUs, since the server started, idle time included.",
        (),
        lambda state: [((), state.joules)],
    ),
)


class DeviceCollector(Collector):
    """Reads the device each time it is asked; that takes milliseconds, so not on the event loop."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def collect(self) -> Iterator[Metric]:
        state = self._device.state()
        if state is None:
            return
        for make, families in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
            for family in families:
                metric = make(PREFIX + family.name, family.text, labels=family.labels)
                for labels, value in family.samples(state):
                    if value is not None:
                        metric.add_metric(labels, value)
                if metric.samples:
                    yield metric
