"""What rounding does to each layer, as a table, and what calibration made of it, as a sentence. Knows no arrays."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from edgevlm_export.calibrate.choice import Choice
from edgevlm_export.calibrate.groups import ROLES
from edgevlm_export.calibrate.search import Finding

from edgevlm.markdown import markdown

PARTS = {"vision": "vision encoder", "decoder": "language model"}


def sensitivity(findings: Sequence[Finding], kept: Collection[str]) -> str:
    """A line for each layer, a column for each of its matmuls: the error of rounding to nearest, and with a scale.

    `kept` are names or patterns of those that are not rounded.
    """
    layers: dict[str, dict[str, str]] = {}
    for finding in findings:
        group = finding.group
        place = "head" if group.part == "head" else f"{PARTS[group.part]} {group.layer}"
        layers.setdefault(place, {})[group.role] = _cell(finding, kept)
    rows = [(place, *(cells.get(role, "") for role in ROLES)) for place, cells in layers.items()]
    return markdown([("error of rounding, by layer", *ROLES), *rows])


def summary(findings: Sequence[Finding], choice: Choice) -> str:
    """How many matmuls have a scale, and which are not rounded."""
    scaled = f"Calibrated: scales for {len(choice.scales)} of {len(findings)} rounded matmuls"
    if not choice.kept:
        return f"{scaled}."
    return f"{scaled}; not rounded, because too little would be left of them: {', '.join(choice.kept)}."


def _cell(finding: Finding, kept: Collection[str]) -> str:
    text = f"{finding.nearest:.5f}"
    if finding.scale is not None:
        text += f" → {finding.scaled:.5f}"
    return f"{text}, kept" if any(fnmatchcase(finding.group.matmul, name) for name in kept) else text
