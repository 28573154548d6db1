"""What TensorRT plans are built for, and the key that follows from it. Reads no files, knows no TensorRT.

A plan is code and weights for one GPU and one version of TensorRT, with fixed limits on slots and lengths.
"""

import hashlib
import json
from typing import Literal, NamedTuple

from edgevlm_engines.bundle import DECODER, DECODER_WEIGHTS, VISION, VISION_WEIGHTS
from edgevlm_engines.errors import PlanError
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.names import Device
from edgevlm_engines.version import version_numbers, version_text

FORMAT: Literal[3] = 3
"""Of `plan.json`, and of what the builder makes of a graph: raised when plans of before must not be used."""

CHUNK = 256
"""Positions in one prefill call. Up to some 200, a GPU takes no longer than for reading the weights: an Orin and an
H200 do about 200 operations of float16 for each byte that they read, and a weight is 2 bytes, and 2 operations a
position."""

POSITIONS = 64
"""A slot's capacity is a multiple of this, so that every slot of a cache begins at an address that TensorRT takes."""

SMALLEST_WINDOW = 256

NATIVE_SINCE = (10, 15)
"""The first TensorRT with an operator that updates a cache in place."""

TENSORRT, TENSORRT_RTX = "TensorRT", "TensorRT-RTX"
LIBRARIES: dict[Device, str] = {"jetpack6": TENSORRT, "jetpack7": TENSORRT, "rtx": TENSORRT_RTX}
"""What runs the plans of a bundle, by the device that it was exported for. Each has versions of its own."""

RTX_INTERFACES = (((1, 7), (11, 0)), ((1, 4), (10, 16)))
"""From a version of TensorRT-RTX on, the TensorRT whose network interface it has; the newest first. Nothing is known
of earlier ones."""

_GRAPHS = (DECODER, DECODER_WEIGHTS, VISION, VISION_WEIGHTS)


class PlanShape(NamedTuple):
    """What the plans allow: slots, positions of one slot, positions of one prefill."""

    slots: int
    capacity: int
    chunk: int = CHUNK


class Target(NamedTuple):
    """What runs the plans: the library's whole version, the GPU's name, its compute capability as `8.7`, the system's
    release, empty if it says none, and which library it is."""

    tensorrt: str
    device: str
    compute: str
    release: str = ""
    library: str = TENSORRT

    @property
    def software(self) -> str:
        """For people: `TensorRT-RTX 1.4.0.76`."""
        return f"{self.library} {self.tensorrt}"

    @property
    def interface(self) -> tuple[int, ...]:
        """The version of TensorRT that has the same network interface; empty if that is not known."""
        numbers = version_numbers(self.tensorrt)
        if self.library == TENSORRT:
            return numbers
        return next((same for since, same in RTX_INTERFACES if numbers >= since), ())


def capacity(max_length: int) -> int:
    """Positions that a slot of the cache has for prompts and answers of `max_length`."""
    return -(-max_length // POSITIONS) * POSITIONS


def windows(capacity: int) -> tuple[int, ...]:
    """Lengths of cache that a step may attend to, rising: a step costs what its window costs, not the whole slot."""
    sizes = []
    size = SMALLEST_WINDOW
    while size < capacity:
        sizes.append(size)
        size *= 2
    return (*sizes, capacity)


def plan_shape(slots: int, max_length: int) -> PlanShape:
    """The shape for a server with `slots` slots of `max_length` positions."""
    return PlanShape(slots, capacity(max_length))


def plan_key(manifest: Manifest, shape: PlanShape, target: Target) -> str:
    """A name that changes with everything that a plan depends on."""
    parts = {
        "format": FORMAT,
        "flavour": manifest.flavour,
        "precisions": [manifest.precision, manifest.vision_precision],
        "shape": shape._asdict(),
        "target": target._asdict(),
        "sources": sources(manifest),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def sources(manifest: Manifest) -> dict[str, str]:
    """Digest of every file that a plan is built from."""
    return {name: manifest.files[name].sha256 for name in _GRAPHS}


def check_flavour(manifest: Manifest, target: Target) -> None:
    """Raise `PlanError` for a graph that this TensorRT cannot run, whoever built it."""
    if manifest.flavour == "ort":
        raise PlanError(
            f"The bundle of {manifest.model} was exported for {manifest.device}, and TensorRT does not run it; "
            "export it with --device jetpack6, jetpack7 or rtx."
        )
    if LIBRARIES[manifest.device] != target.library:
        raise PlanError(
            f"The bundle of {manifest.model} was exported for {manifest.device}, which runs "
            f"{LIBRARIES[manifest.device]}, and this is {target.software}; export it with --device "
            f"{device_for(target)}."
        )
    if manifest.flavour == "trt-native" and target.interface < NATIVE_SINCE:
        least = version_text(NATIVE_SINCE)
        other = "export it with --device jetpack6" if target.library == TENSORRT else "install a newer one"
        raise PlanError(
            f"This bundle updates its cache with an operator that TensorRT has from {least} on, and this is "
            f"{target.software}; {other}."
        )


def device_for(target: Target) -> Device:
    """What to export for, to run on a target."""
    if target.library == TENSORRT_RTX:
        return "rtx"
    return "jetpack7" if target.interface >= NATIVE_SINCE else "jetpack6"
