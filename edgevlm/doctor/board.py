"""Which computer and which system: the module's memory bus, the release of Jetson's system, the driver.

Formats were taken from what owners of devices have published, not seen on a device of ours: `/proc/device-tree/model`
and `compatible` end in a zero byte (the latter has one between its names); `/etc/nv_tegra_release` begins like
`# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, ...`; `/proc/driver/nvidia/version` like `NVRM
version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build`; `version.json` of CUDA has
`{"cuda": {"version": "12.6.11"}}`.
"""

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

from edgevlm_engines.trt.target import system_release
from edgevlm_engines.version import version_numbers
from edgevlm_server.device.root import Root

ORIN, THOR = "tegra234", "tegra264"


class Module(NamedTuple):
    """`bus_bits`: width of the memory's bus, from NVIDIA's data sheets of the modules."""

    name: str
    bus_bits: int


MODULES = {
    "p3701": Module("Jetson AGX Orin", 256),
    "p3767-0000": Module("Jetson Orin NX 16 GB", 128),
    "p3767-0001": Module("Jetson Orin NX 8 GB", 128),
    "p3767-0003": Module("Jetson Orin Nano 8 GB", 128),
    "p3767-0005": Module("Jetson Orin Nano 8 GB", 128),
    "p3767-0004": Module("Jetson Orin Nano 4 GB", 64),
}
"""By what `compatible` names; `p3701` has several numbers with the same bus."""


@dataclass(frozen=True, slots=True)
class Board:
    """`model` as the board calls itself, or the processor's name; `chip` is `tegra234` in an Orin; `release` as
    `36.4.7`, of Jetson's system. What is unknown is `None`."""

    model: str
    machine: str
    chip: str | None
    module: str | None
    bus_bits: int | None
    release: str | None
    driver: str | None
    cuda: str | None

    @property
    def jetson(self) -> bool:
        return self.chip is not None or self.release is not None

    @property
    def release_numbers(self) -> tuple[int, ...]:
        """To be compared: `(36, 4, 7)`; empty where there is no release."""
        return version_numbers(self.release or "")


def read_board(root: Root, machine: str) -> Board:
    """`machine` is the processor's architecture, as `platform.machine` names it."""
    compatible = (root.text("/proc/device-tree/compatible") or "").split("\0")
    module = _module(compatible)
    return Board(
        model=root.text("/proc/device-tree/model") or _processor(root) or machine,
        machine=machine,
        chip=next((chip for chip in (ORIN, THOR) if f"nvidia,{chip}" in compatible), None),
        module=module.name if module else None,
        bus_bits=module.bus_bits if module else None,
        release=_release(root),
        driver=_driver(root),
        cuda=_cuda(root),
    )


def jetpack(release: str | None) -> str | None:
    """The name under which NVIDIA published a release of Jetson's system, as far as it matters here."""
    numbers = version_numbers(release or "")
    major = numbers[0] if numbers else 0
    if major == 36:
        return "JetPack 6.1 or 6.2" if numbers >= (36, 4) else "JetPack 6.0"
    return {35: "JetPack 5", 38: "JetPack 7.0 or 7.1", 39: "JetPack 7.2"}.get(major)


def _module(compatible: list[str]) -> Module | None:
    """A carrier board of another maker keeps the module's own name in the list."""
    for name in compatible:
        for key, module in MODULES.items():
            if re.search(rf"\b{key}\b", name):
                return module
    return None


def _release(root: Root) -> str | None:
    return system_release(root.path("/etc/nv_tegra_release")).removeprefix("R") or None


def _driver(root: Root) -> str | None:
    text = root.text("/proc/driver/nvidia/version") or ""
    found = re.search(r"^NVRM version:.*?\s(\d+(?:\.\d+)+)\s", text + "\n", re.MULTILINE)
    return found[1] if found else None


def _cuda(root: Root) -> str | None:
    """The version of the toolkit, or at least of its folder."""
    text = root.text("/usr/local/cuda/version.json")
    if text is not None:
        try:
            return str(json.loads(text)["cuda"]["version"])
        except (ValueError, KeyError, TypeError):
            return None
    folders = [
        name.removeprefix("cuda-") for name in root.names("/usr/local") if re.fullmatch(r"cuda-\d+\.\d+", name)
    ]
    return folders[-1] if folders else None


def _processor(root: Root) -> str | None:
    for line in root.lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return None
