"""Who runs, who waits, in which row. Plain Python: no threads, no arrays, no clock.

Rows 0..n-1 decode. Row n takes in one prompt, a chunk a step. When it is through it simply is one more decoding
row; when a decoding row ends, the last one moves into its place and the prompt's row moves down. A sequence is
admitted only when a row is free, and a row holds any accepted prompt with its answer, so nothing is ever preempted.
"""

from collections import deque
from typing import NamedTuple

from edgevlm_server.runtime.sequence import Sequence


class Step(NamedTuple):
    """One turn of the engine: a decode of every running sequence and at most one chunk of one prompt."""

    decode: list[Sequence]
    prefill: Sequence | None


class Move(NamedTuple):
    """Copy `length` positions of row `source` to row `target`."""

    source: int
    target: int
    length: int


class Scheduler:
    """Holds every sequence from `add` to `remove`."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._prefilling: Sequence | None = None

    @property
    def running(self) -> int:
        """Sequences that own a row."""
        return len(self._running) + (self._prefilling is not None)

    @property
    def waiting(self) -> int:
        """Sequences without a row."""
        return len(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Put a sequence at the end of the queue."""
        self._waiting.append(sequence)

    def next_step(self) -> Step:
        """What to run now; admits the first waiting sequence if no prompt is being taken in and a row is free."""
        if self._prefilling is None and self._waiting and len(self._running) < self._rows:
            self._prefilling = self._waiting.popleft()
            self._prefilling.row = len(self._running)
        return Step(list(self._running), self._prefilling)

    def prefilled(self, sequence: Sequence, count: int) -> bool:
        """Note that `count` prompt positions are in the cache; true when that was the whole prompt."""
        assert sequence is self._prefilling, "one prompt at a time"
        sequence.computed += count
        if sequence.prompt_left:
            return False
        self._running.append(sequence)
        self._prefilling = None
        return True

    def remove(self, sequence: Sequence) -> list[Move]:
        """Forget a sequence, wherever it is; return the row copies that must be done before the next step."""
        if sequence.row < 0:
            self._waiting.remove(sequence)
            return []
        hole, sequence.row = sequence.row, -1
        if sequence is self._prefilling:
            self._prefilling = None
            return []
        last = self._running.pop()
        moves = [] if last is sequence else [self._move(last, hole)]
        if last is not sequence:
            self._running[hole] = last
        if self._prefilling is not None:
            moves.append(self._move(self._prefilling, len(self._running)))
        return moves

    @staticmethod
    def _move(sequence: Sequence, target: int) -> Move:
        move = Move(sequence.row, target, sequence.cached)
        sequence.row = target
        return move
