"""The demo model: drawn factory scenes, the committed checkpoint and where it lies. Imports no torch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["checkpoint_folder", "clip_folder"]

_ROOM = Path(__file__).resolve().parent


def checkpoint_folder() -> Path:
    """The demo checkpoint in the published MobileVLM V2 layout (tower inside)."""
    return _ROOM / "checkpoint"


def clip_folder() -> Path:
    """The folder that stands in for the CLIP repository: image size and preprocessing, no weights."""
    return _ROOM / "clip"
