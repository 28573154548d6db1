"""Modules made of names. Knows nothing of what they stand in for."""

from collections.abc import Mapping
from types import ModuleType


def module(name: str, names: Mapping[str, object]) -> ModuleType:
    """As if imported; without a path, so that nothing is searched for behind it."""
    made = ModuleType(name)
    made.__dict__.update(names)
    return made
