"""What is made of the findings: which scales are folded in, and which matmuls are better not rounded."""

from collections.abc import Iterable
from typing import NamedTuple

from edgevlm_export.calibrate.rescale import Scale
from edgevlm_export.calibrate.search import Finding

TOWER_LIMIT = 0.02
"""The error from which on a matmul of the vision encoder stays as it is. Its activations have one grid a call, and
where some are a hundred times the others, nothing is left of these."""


class Choice(NamedTuple):
    """`kept` are names of matmuls."""

    kept: tuple[str, ...]
    scales: tuple[Scale, ...]


NOTHING_CHANGED = Choice((), ())
"""Every matmul is rounded to nearest, with the weights as they were."""


def choose(findings: Iterable[Finding]) -> Choice:
    """Scales where they help; no rounding in the vision encoder where even they do not help enough."""
    kept, scales = [], []
    for finding in findings:
        if finding.group.part == "vision" and not finding.scaled <= TOWER_LIMIT:
            kept.append(finding.group.matmul)
        elif finding.scale is not None:
            scales.append(finding.scale)
    return Choice(tuple(kept), tuple(scales))
