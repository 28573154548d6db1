"""The table, from the lines that checks have left. Runs nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.gpu.columns import COLUMNS

Line = dict[str, Any]

CRASHED = "crashed"
FAILED = ("failed", CRASHED)


def results(lines: Sequence[Line]) -> list[Line]:
    """One a check: what came last."""
    return list({line["test"]: line for line in lines}.values())


def failed(checks: Sequence[Line]) -> list[Line]:
    return [check for check in checks if check["outcome"] in FAILED]


def text(machine: Mapping[str, str], checks: Sequence[Line], seconds: float) -> str:
    """For people, in Markdown: what failed, what was measured; the table last, where a terminal shows it."""
    lines, told = [], set()
    for check in failed(checks):
        # a model that does not load fails all its checks with the same words
        words = [] if check["text"] in told else [check["text"], ""]
        lines += [f"{check['outcome'].upper()} {_named(check)}", *words]
        told.add(check["text"])
    lines += [f"{_named(check)}: {note}" for check in checks for note in check.get("notes", ())]
    lines += [f"{_named(check)}: not run, {check['text']}" for check in checks if check["outcome"] == "skipped"]
    lines += ["", ", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    rows = sorted({check["row"] for check in checks}, key=[check["row"] for check in checks].index)
    titles = [COLUMNS[name].title for name in COLUMNS]
    lines += [f"| check | {' | '.join(titles)} | result | seconds |", "|---" * (len(titles) + 3) + "|"]
    lines += [_row(row, [check for check in checks if check["row"] == row]) for row in rows]
    lines += ["", f"{len(checks)} checks, {len(failed(checks))} failed, {seconds:.0f} s in all"]
    return "\n".join(lines).lstrip() + "\n"


def _row(row: str, checks: Sequence[Line]) -> str:
    cells = [_cell([check for check in checks if check["column"] == name]) for name in COLUMNS]
    bad = len(failed(checks))
    ran = sum(check["outcome"] != "skipped" for check in checks)
    result = f"{bad} FAILED" if bad else "passed" if ran else "not run"
    whole = f" {ran - bad} of {ran}" if ran and not any(check["column"] for check in checks) else ""
    seconds = sum(check.get("seconds", 0) for check in checks)
    return f"| {row} | {' | '.join(cells)} | {result}{whole} | {seconds:.0f} |"


def _cell(checks: Sequence[Line]) -> str:
    ran = [check for check in checks if check["outcome"] != "skipped"]
    if not ran:
        return "-"
    crashes = sum(check["outcome"] == CRASHED for check in ran)
    passed = sum(check["outcome"] == "passed" for check in ran)
    return f"{passed} of {len(ran)}" + (f", {crashes} crashed" if crashes else "")


def _named(check: Line) -> str:
    column = f"{COLUMNS[check['column']].title}, " if check["column"] else ""
    return f"{column}{check['test'].rpartition('::')[2]}"
