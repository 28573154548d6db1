"""A stand-in's plan: what a real one was built from, an ONNX graph with its weights, behind its profiles."""

import json
from collections.abc import Sequence
from typing import NamedTuple

MAGIC = b"stand-in plan 1\n"

ProfileShapes = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Least, best and largest shape of every input."""


class PlanFile(NamedTuple):
    profiles: list[ProfileShapes]
    graph: bytes


def pack_plan(graph: bytes, profiles: Sequence[ProfileShapes]) -> bytes:
    """`graph` is a whole ONNX model, weights inside."""
    header = json.dumps(list(profiles)).encode()
    return MAGIC + len(header).to_bytes(8, "little") + header + graph


def unpack_plan(content: bytes) -> PlanFile | None:
    """`None` for anything else."""
    if not content.startswith(MAGIC):
        return None
    start = len(MAGIC) + 8
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    profiles: list[ProfileShapes] = [
        {name: (tuple(least), tuple(best), tuple(most)) for name, (least, best, most) in profile.items()}
        for profile in json.loads(content[start:end])
    ]
    return PlanFile(profiles, content[end:])
