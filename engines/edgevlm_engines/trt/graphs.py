"""Decode steps as CUDA graphs: one for each number of slots and window, captured at its second use. Knows no model.

A captured graph freezes shapes, addresses and its context, so each has a context of its own. The first step of a kind
runs plainly, as TensorRT wants it before a capture; the second is captured, and all from then on are one launch.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from edgevlm_engines.cuda.runtime import Graph, Stream, capture
from edgevlm_engines.errors import DeviceError
from edgevlm_engines.trt.context import Context

log = logging.getLogger(__name__)

MOST = 32
"""Each holds a context, whose memory the memory plan does not count. Enough for 8 slots in 4 windows."""


class Kind(NamedTuple):
    """What is the same in all steps of one graph."""

    slots: int
    window: int


class StepGraphs:
    """Runs steps, as long as capturing works here.

    `prepare` makes a context that is bound for a kind; `enqueue` puts one step of it on the stream.
    """

    def __init__(
        self, prepare: Callable[[Kind], Context], enqueue: Callable[[Context, Kind], None], stream: Stream
    ) -> None:
        self._prepare = prepare
        self._enqueue = enqueue
        self._stream = stream
        self._contexts: dict[Kind, Context] = {}
        self._graphs: dict[Kind, Graph] = {}
        self._usable = True

    def run(self, kind: Kind) -> bool:
        """Enqueue one step. False: nothing is enqueued, and the caller must do it plainly."""
        if kind not in self._contexts:
            return self._begin(kind)
        if kind not in self._graphs and not self._capture(kind):
            return False
        self._graphs[kind].launch(self._stream)
        return True

    def free(self) -> None:
        """Graphs before the contexts that they use."""
        while self._graphs:
            self._graphs.popitem()[1].free()
        while self._contexts:
            self._contexts.popitem()[1].free()

    def _begin(self, kind: Kind) -> bool:
        if not self._usable or len(self._contexts) == MOST:
            return False
        try:
            self._contexts[kind] = self._prepare(kind)
        except DeviceError as error:
            self._give_up(error)
            return False
        self._enqueue(self._contexts[kind], kind)
        return True

    def _capture(self, kind: Kind) -> bool:
        try:
            self._graphs[kind] = capture(self._stream, lambda: self._enqueue(self._contexts[kind], kind))
        except DeviceError as error:
            self._contexts.pop(kind).free()
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: DeviceError) -> None:
        """Slower is better than dead: captured graphs stay in use, and no more are captured."""
        self._usable = False
        log.warning("Decoding goes on without further CUDA graphs: %s", error)
