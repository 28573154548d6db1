"""The mixed panel: two different devices, each in its own part of the picture. Knows no wording."""

from __future__ import annotations

from random import Random

from edgevlm_demo.scenes.canvas import Canvas, Region

DEVICES = ("display", "dial gauge", "signal tower", "label")
WIDE = {"display", "label"}


def choose_devices(random: Random) -> tuple[str, str]:
    first, second = random.sample(DEVICES, 2)
    return first, second


def regions(canvas: Canvas, devices: tuple[str, str]) -> tuple[Region, Region]:
    """Two parts that do not overlap, first and second in the order of the devices."""
    width, height = canvas.width, canvas.height
    if "signal tower" in devices:
        # a tower is narrow, and too tall to lie above something
        narrow = 0.3 if WIDE & set(devices) else 0.35
        middle = round(width * (narrow if devices[0] == "signal tower" else 1 - narrow))
        return (0, 0, middle, height), (middle, 0, width, height)
    if set(devices) == WIDE or height > width:
        return (0, 0, width, height // 2), (0, height // 2, width, height)
    return (0, 0, width // 2, height), (width // 2, 0, width, height)
