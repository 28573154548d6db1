"""Versions and releases as numbers that can be compared."""

import re


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `10.3.0.30` -> `(10, 3, 0, 30)`; empty where it begins with none."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def version_text(numbers: tuple[int, ...]) -> str:
    """The other way round: `(10, 15)` -> `10.15`."""
    return ".".join(map(str, numbers))
