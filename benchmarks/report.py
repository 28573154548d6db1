"""Tables in Markdown: text in the first column, figures in the others. Knows no meanings."""

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The rows under their heads. Raises `ValueError` for a row of another length."""
    lines = [_line(columns), _line(["---", *["---:"] * (len(columns) - 1)])]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells does not fit {len(columns)} columns")
        lines.append(_line(row))
    return "\n".join(lines)


def gigabytes(count: float) -> str:
    """Bytes, in units of 10^9."""
    return f"{count / 1e9:.2f} GB"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def times(ratio: float) -> str:
    return f"{ratio:.2f} x"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
