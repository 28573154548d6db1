"""Everything that is known of one machine, taken at one moment. Judges nothing."""

from dataclasses import dataclass
from pathlib import Path

from edgevlm_server.device.device import read_device
from edgevlm_server.device.nvml import open_nvml
from edgevlm_server.device.power_modes import Power, read_power
from edgevlm_server.device.root import Root
from edgevlm_server.device.state import DeviceState

from edgevlm.cache.folder import cache_folder
from edgevlm.doctor.board import Board, read_board
from edgevlm.doctor.memory import Cache, Disk, Memory, read_cache, read_disk, read_memory
from edgevlm.doctor.software import Interpreter, Software, machine, read_software, this_interpreter

GRAPHICAL = "graphical.target"
DEFAULT_TARGET = "/etc/systemd/system/default.target"


@dataclass(frozen=True, slots=True)
class Survey:
    """`device` is what the server's metrics tell too; `desktop`: whether a desktop is started with the machine."""

    board: Board
    memory: Memory
    disk: Disk
    cache: Cache
    power: Power
    device: DeviceState
    software: Software
    desktop: bool


def take_survey(
    folder: Path,
    root: Root | None = None,
    architecture: str | None = None,
    interpreter: Interpreter | None = None,
    cache: Path | None = None,
) -> Survey:
    """Of this machine, or of the one whose files lie below `root`. `folder` is where plans would lie.

    `cache` is the folder that edgevlm keeps bundles in, by default the user's.
    """
    nvml = open_nvml() if root is None else None
    root = root or Root()
    return Survey(
        board=read_board(root, architecture or machine()),
        memory=read_memory(root),
        disk=read_disk(folder),
        cache=read_cache(cache or cache_folder()),
        power=read_power(root),
        device=read_device(root, nvml),
        software=read_software(root, interpreter or this_interpreter()),
        desktop=(root.link(DEFAULT_TARGET) or "").endswith(GRAPHICAL),
    )
