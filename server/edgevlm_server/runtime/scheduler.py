"""Who runs, who waits, in which slot. Plain Python: no threads, no arrays, no clock.

Slots 0..n-1 decode. Slot n takes in one prompt, a chunk a step. When it is through it simply is one more decoding
slot; when a decoding slot ends, the last one moves into its place and the prompt's slot moves down. A sequence is
admitted only when a slot is free, and a slot holds any accepted prompt with its answer, so nothing is ever preempted.
Those that wait are admitted in turn, one of each client.
"""

from typing import NamedTuple

from edgevlm_server.fair_queue import FairQueue
from edgevlm_server.runtime.sequence import Sequence


class Step(NamedTuple):
    """One turn of the engine: a decode of every running sequence and at most one chunk of one prompt."""

    decode: list[Sequence]
    prefill: Sequence | None


class Move(NamedTuple):
    """Copy `length` positions of slot `source` to slot `target`."""

    source: int
    target: int
    length: int


class Scheduler:
    """Holds every sequence from `add` to `remove`."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._waiting: FairQueue[Sequence] = FairQueue()
        self._running: list[Sequence] = []
        self._prefilling: Sequence | None = None

    @property
    def running(self) -> int:
        """Sequences that own a slot."""
        return len(self._running) + (self._prefilling is not None)

    @property
    def waiting(self) -> int:
        """Sequences without a slot."""
        return len(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Put a sequence behind the others of its client."""
        self._waiting.add(sequence.client, sequence)

    def next_step(self) -> Step:
        """What to run now; admits the next waiting sequence if no prompt is being taken in and a slot is free."""
        if self._prefilling is None and self._waiting and len(self._running) < self._slots:
            self._prefilling = self._waiting.take()
            self._prefilling.slot = len(self._running)
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
        """Forget a sequence, wherever it is; return the slot copies that must be done before the next step."""
        if sequence.slot < 0:
            self._waiting.remove(sequence.client, sequence)
            return []
        hole, sequence.slot = sequence.slot, -1
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
        move = Move(sequence.slot, target, sequence.cached)
        sequence.slot = target
        return move
