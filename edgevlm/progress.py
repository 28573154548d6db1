"""A progress bar on a terminal, a line at the start elsewhere. Knows amounts, not what they are of."""

import sys

from edgevlm_export.bundle_writer import Progress
from tqdm import tqdm


class Bar(Progress):
    """Shows how much of a known amount is done: bytes, or `unit`s."""

    def __init__(self, title: str, unit: str | None = None) -> None:
        self._title = title
        self._unit = unit
        self._bar: tqdm[None] | None = None

    def start(self, total: int) -> None:
        if sys.stderr.isatty():
            bytes_too = self._unit is None
            self._bar = tqdm(
                total=total, desc=self._title, unit=self._unit or "B", unit_scale=bytes_too, unit_divisor=1024
            )
        else:
            amount = f"{total / 2**20:.1f} MiB" if self._unit is None else f"{total} {self._unit}s"
            print(f"{self._title}: {amount}", file=sys.stderr)

    def advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
