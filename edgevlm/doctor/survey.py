"""Everything that is known of one machine, taken at one moment. Judges nothing."""

from dataclasses import dataclass
from pathlib import Path

from edgevlm.doctor.board import Board, read_board
from edgevlm.doctor.clocks import Clocks, read_clocks
from edgevlm.doctor.memory import Disk, Memory, read_disk, read_memory
from edgevlm.doctor.power import Power, read_power
from edgevlm.doctor.root import Root
from edgevlm.doctor.software import Interpreter, Software, machine, read_software, this_interpreter

GRAPHICAL = "graphical.target"
DEFAULT_TARGET = "/etc/systemd/system/default.target"


@dataclass(frozen=True, slots=True)
class Survey:
    """`desktop`: whether a desktop is started with the machine."""

    board: Board
    memory: Memory
    disk: Disk
    power: Power
    clocks: Clocks
    software: Software
    desktop: bool


def take_survey(
    folder: Path, root: Root | None = None, architecture: str | None = None, interpreter: Interpreter | None = None
) -> Survey:
    """Of this machine, or of the one whose files lie below `root`. `folder` is where plans would lie."""
    root = root or Root()
    return Survey(
        board=read_board(root, architecture or machine()),
        memory=read_memory(root),
        disk=read_disk(folder),
        power=read_power(root),
        clocks=read_clocks(root),
        software=read_software(root, interpreter or this_interpreter()),
        desktop=(root.link(DEFAULT_TARGET) or "").endswith(GRAPHICAL),
    )
