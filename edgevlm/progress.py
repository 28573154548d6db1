"""A progress bar on a terminal, a line at the start and the end elsewhere. Knows bytes, not what they are."""

import sys

from edgevlm_export.bundle_writer import Progress
from tqdm import tqdm


class Bar(Progress):
    """Shows how many bytes of a known number are done."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm[None] | None = None

    def start(self, total: int) -> None:
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=self._title, unit="B", unit_scale=True, unit_divisor=1024)
        else:
            print(f"{self._title}: {total / 2**20:.1f} MiB", file=sys.stderr)

    def advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
