"""What the search for a plan may take. Imports nothing of ours."""

from dataclasses import dataclass

WORKSPACE = 256 * 2**20
"""What one kernel may take beside its inputs and outputs. The largest such need is held for as long as plans run, and
the products here read their weights once and need next to none: a tactic that wants more has no place on 8 GB."""

LEVEL = 3
"""TensorRT's own choice of how many kernels it tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a build may take: bytes for a kernel's workspace, bytes for all that it holds, TensorRT's level 0 to 5."""

    workspace: int
    memory: int | None
    level: int
