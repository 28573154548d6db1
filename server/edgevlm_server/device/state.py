"""Everything that a machine says of itself at one moment. Whatever it does not say is `None` or not there."""

from dataclasses import dataclass

from edgevlm_server.device.clocks import Clock, Gpu, read_clocks, read_gpu
from edgevlm_server.device.fans import Fan, read_fans
from edgevlm_server.device.memory import Memory, read_memory
from edgevlm_server.device.power_modes import PowerMode, read_mode
from edgevlm_server.device.rails import Rail, read_rails, total
from edgevlm_server.device.root import Root
from edgevlm_server.device.thermal import (
    Cooler,
    Overcurrent,
    Zone,
    read_coolers,
    read_overcurrent,
    read_zones,
)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """`watts` is what the whole device takes, as far as it is known: a Jetson's module, or a PC's GPUs.

    `joules` is the same since the server's start, and `None` for who has not watched.
    """

    gpus: tuple[Gpu, ...]
    clocks: tuple[Clock, ...]
    memory: Memory
    rails: tuple[Rail, ...]
    watts: float | None
    zones: tuple[Zone, ...]
    coolers: tuple[Cooler, ...]
    overcurrent: tuple[Overcurrent, ...]
    fans: tuple[Fan, ...]
    mode: PowerMode | None
    joules: float | None = None

    @property
    def throttling(self) -> bool | None:
        """Whether anything is slowed down now; `None` where nothing would say so."""
        slowing = [cooler for cooler in self.coolers if cooler.slows]
        return any(cooler.throttling for cooler in slowing) if slowing else None

    @property
    def cpu_clock(self) -> Clock | None:
        """Of the processors that are pinned least."""
        clocks = (clock for clock in self.clocks if clock.name.startswith("cpu"))
        return min(clocks, key=lambda clock: clock.pinned, default=None)

    def clock(self, name: str) -> Clock | None:
        return next((clock for clock in self.clocks if clock.name == name), None)


def read_state(root: Root) -> DeviceState:
    """From files alone. May take some milliseconds: sensors are asked over a slow bus."""
    memory = read_memory(root)
    gpu = read_gpu(root, memory.gpu)
    rails = read_rails(root)
    return DeviceState(
        gpus=(gpu,) if gpu else (),
        clocks=read_clocks(root),
        memory=memory,
        rails=rails,
        watts=total(rails),
        zones=read_zones(root),
        coolers=read_coolers(root),
        overcurrent=read_overcurrent(root),
        fans=read_fans(root),
        mode=read_mode(root),
    )
