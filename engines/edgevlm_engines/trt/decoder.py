"""The decoder on TensorRT: its cache, its buffers, and one call a step. Knows the graph's inputs, and no tokens.

Everything that the device reads or writes is allocated here, at load. Copies of inputs and of logits are part of the
work that is enqueued, and of a captured graph. A step attends to a window of the cache, the shortest that holds all
slots.
"""

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from edgevlm_engines.cuda.kv_append import Append
from edgevlm_engines.cuda.kv_cache import CudaCache
from edgevlm_engines.cuda.owned import owned
from edgevlm_engines.cuda.runtime import DeviceMemory, SharedArray, Stream
from edgevlm_engines.engine import Floats
from edgevlm_engines.graph_names import cache_sides
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.memory_plan import graph_weights
from edgevlm_engines.plan_cache import PlanShape, windows
from edgevlm_engines.trt.context import Context, PlanEngine, Shape, Tensors, check_tensors
from edgevlm_engines.trt.graphs import Kind, StepGraphs

PREFILL, DECODE = 0, 1
"""The plan's optimization profiles."""

FP16 = np.dtype(np.float16)


class TrtDecoder:
    """One prefill or decode at a time: `hidden` `[n, s, hidden_size]` float16 -> logits `[n, vocab_size]`."""

    def __init__(self, engine: PlanEngine, manifest: Manifest, shape: PlanShape, *, graphs: bool) -> None:
        """`engine` stays the caller's. Raises `EngineLoadError` where the cache finds no room, or `DeviceError`."""
        model = manifest.decoder
        self._model, self._shape, self._engine = model, shape, engine
        self._native = manifest.flavour == "trt-native"
        self._windows = windows(shape.capacity)
        self._sides = cache_sides(model.layers)
        check_tensors(engine, self._expected())
        positions = max(shape.chunk, shape.slots)
        with ExitStack() as release:
            self._stream = owned(release, Stream(urgent=True))
            self._scratch = owned(release, DeviceMemory(max(engine.scratch_bytes, 1)))
            self._hidden = owned(release, SharedArray((positions, model.hidden_size), np.float16))
            self._past = owned(release, SharedArray((shape.slots,), np.int32))
            self._logits = owned(release, SharedArray((shape.slots, model.vocab_size), np.float32))
            self._cache_positions = owned(release, DeviceMemory(4 * shape.capacity))
            self._cache_positions.upload(np.arange(shape.capacity, dtype=np.int32))
            new_bytes = 0 if self._native else positions * model.kv_heads * model.head_dim * FP16.itemsize
            self._new = [owned(release, DeviceMemory(new_bytes)) for _ in self._sides if new_bytes]
            # the largest last: what is left then says what would fit
            cache_shape = (shape.slots, model.kv_heads, shape.capacity, model.head_dim)
            self.cache = owned(release, CudaCache(len(self._sides), cache_shape, FP16, graph_weights(manifest)))
            self._append = None if self._native else owned(release, self._make_append())
            self._prefill_context = owned(
                release, engine.context(PREFILL, self._stream, self._scratch, few_shapes=False)
            )
            self._decode_context = owned(
                release, engine.context(DECODE, self._stream, self._scratch, few_shapes=True)
            )
            steps = StepGraphs(self._prepare, self._enqueue_decode, self._stream)
            self._graphs = owned(release, steps) if graphs else None
            self._release = release.pop_all()

    def prefill(self, slot: int, start: int, hidden: NDArray[np.float16]) -> Floats:
        """Positions `start` on of one slot: `[1, s, hidden_size]` -> `[1, vocab]`."""
        count = hidden.shape[1]
        self._fill(hidden, np.array([start]))
        context, window = self._prefill_context, self._window(start + count)
        self._bind(context, first_slot=slot, slots=1, positions=count, window=window)
        self._enqueue(context, first_slot=slot, slots=1, positions=count)
        return self._result(1)

    def decode(self, lengths: NDArray[np.int64], hidden: NDArray[np.float16]) -> Floats:
        """One position of slots `0..n-1`, which hold `lengths` `[n]`: `[n, 1, hidden_size]` -> `[n, vocab]`."""
        self._fill(hidden, lengths)
        kind = Kind(len(hidden), self._window(int(lengths.max()) + 1))
        if self._graphs is None or not self._graphs.run(kind):
            self._bind_decode(self._decode_context, kind)
            self._enqueue_decode(self._decode_context, kind)
        return self._result(kind.slots)

    def free(self) -> None:
        """Give everything back. Calling it again does nothing."""
        self._release.close()

    def _fill(self, hidden: NDArray[np.float16], lengths: NDArray[np.int64]) -> None:
        slots, positions, _ = hidden.shape
        self._hidden.array[: slots * positions] = hidden.reshape(slots * positions, -1)
        self._past.array[:slots] = lengths

    def _result(self, slots: int) -> Floats:
        self._stream.synchronize()
        logits: Floats = self._logits.array[:slots].copy()
        return logits

    def _window(self, length: int) -> int:
        """The shortest window with room for the longest slot after the step."""
        return next(window for window in self._windows if window >= length)

    def _prepare(self, kind: Kind) -> Context:
        context = self._engine.context(DECODE, self._stream, self._scratch, few_shapes=True)
        self._bind_decode(context, kind)
        return context

    def _bind_decode(self, context: Context, kind: Kind) -> None:
        self._bind(context, first_slot=0, slots=kind.slots, positions=1, window=kind.window)

    def _enqueue_decode(self, context: Context, kind: Kind) -> None:
        self._enqueue(context, first_slot=0, slots=kind.slots, positions=1)

    def _bind(self, context: Context, *, first_slot: int, slots: int, positions: int, window: int) -> None:
        model = self._model
        cache_shape = (slots, model.kv_heads, self._shape.capacity, model.head_dim)
        shapes: dict[str, Shape] = {
            "hidden": (slots, positions, model.hidden_size),
            "past_length": (slots,),
            "cache_positions": (window,),
        }
        addresses = {
            "hidden": self._hidden.address,
            "past_length": self._past.address,
            "cache_positions": self._cache_positions.address,
            "logits": self._logits.address,
        }
        for buffer, side in enumerate(self._sides):
            past = self.cache.pointer(buffer, first_slot)
            shapes[f"past_{side}"] = cache_shape
            addresses[f"past_{side}"] = past
            if self._native:
                addresses[f"present_{side}"] = past  # updated in place
            else:
                addresses[f"new_{side}"] = self._new[buffer].address
        context.bind(shapes, addresses)

    def _enqueue(self, context: Context, *, first_slot: int, slots: int, positions: int) -> None:
        self._hidden.send(slots * positions, self._stream)
        self._past.send(slots, self._stream)
        context.enqueue()
        if self._append is not None:
            self._append.launch(first_slot, slots, positions, self._past.address, self._stream)
        self._logits.fetch(slots, self._stream)

    def _make_append(self) -> Append:
        pairs = [(new.address, self.cache.pointer(buffer, 0)) for buffer, new in enumerate(self._new)]
        model = self._model
        return Append(pairs, model.kv_heads, self._shape.capacity, model.head_dim * FP16.itemsize)

    def _expected(self) -> Tensors:
        model, half = self._model, FP16
        integer, single = np.dtype(np.int32), np.dtype(np.float32)
        tensors: Tensors = {
            "hidden": ((-1, -1, model.hidden_size), half),
            "past_length": ((-1,), integer),
            "cache_positions": ((-1,), integer),
            "logits": ((-1, model.vocab_size), single),
        }
        cache = (-1, model.kv_heads, self._shape.capacity, model.head_dim)
        for side in self._sides:
            tensors[f"past_{side}"] = (cache, half)
            if self._native:
                tensors[f"present_{side}"] = (cache, half)
            else:
                tensors[f"new_{side}"] = ((-1, model.kv_heads, -1, model.head_dim), half)
        return tensors
