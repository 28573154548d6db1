"""Sizes in bytes as people read them. Imports nothing."""


def size_text(size: int) -> str:
    """`448 MiB`, `6.25 GiB`."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
