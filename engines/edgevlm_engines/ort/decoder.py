"""The decoder on ONNX Runtime: its session, its cache, and the binding of one to the other. Knows no tokens.

The KV cache is one buffer per layer and side, `[slots, kv_heads, max_length, head_dim]`. Slots are its leading
dimension, so "slots 0..n-1" and "slot s alone" are both contiguous pieces of it: each call binds a pointer into the
buffer, as past and as present, and the runtime updates it in place.
"""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgevlm_engines.engine import Floats
from edgevlm_engines.errors import CudaError, EngineLoadError, NotNow
from edgevlm_engines.graph_names import cache_sides
from edgevlm_engines.kv_cache import Cache, CpuCache, Shape
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.memory_plan import graph_weights
from edgevlm_engines.names import Provider


class OrtDecoder:
    """Runs any stretch of slots, with one prepared binding for each that was run."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        manifest: Manifest,
        slots: int,
        max_length: int,
        provider: Provider,
    ) -> None:
        """Raises `EngineLoadError` where the cache finds no room."""
        shape = manifest.decoder
        self.dtype = np.dtype(np.float16 if manifest.precision == "fp16" else np.float32)
        self.hidden_size = shape.hidden_size
        self.cache = _cache(provider, manifest, (slots, shape.kv_heads, max_length, shape.head_dim), self.dtype)
        self._session: onnxruntime.InferenceSession | None = session
        self._provider = provider
        self._vocab_size = shape.vocab_size
        self._names = [(f"past_{side}", f"present_{side}") for side in cache_sides(shape.layers)]
        self._bindings: dict[tuple[int, int], Any] = {}

    def run(self, first_slot: int, hidden: NDArray[Any], last_position: NDArray[np.integer[Any]]) -> Floats:
        """Advance slots `first_slot..first_slot+n-1`: `[n, s, hidden_size]`, `[n]` -> logits `[n, vocab_size]`."""
        assert self._session is not None, "closed"
        binding = self._binding(first_slot, len(hidden))
        last = last_position.astype(np.int32)
        total_length = np.array(last.max() + 1, np.int32)
        # bound by address, which keeps nothing alive
        logits: Floats = np.empty((len(hidden), self._vocab_size), np.float32)
        binding.bind_cpu_input("hidden", hidden)
        binding.bind_cpu_input("last_position", last)
        binding.bind_cpu_input("total_length", total_length)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits

    def close(self) -> None:
        """Release the cache and let go of the session. Calling it again does nothing."""
        self._bindings.clear()
        self._session = None
        self.cache.free()

    def _binding(self, first_slot: int, count: int) -> Any:
        """With the cache of these slots bound: a hundred pointers that never change."""
        assert self._session is not None, "closed"
        if (first_slot, count) not in self._bindings:
            binding = self._session.io_binding()
            shape = (count, *self.cache.shape[1:])
            for buffer, (past, present) in enumerate(self._names):
                pointer = self.cache.pointer(buffer, first_slot)
                binding.bind_input(past, self._provider, 0, self.dtype, shape, pointer)
                binding.bind_output(present, self._provider, 0, self.dtype, shape, pointer)
            self._bindings[first_slot, count] = binding
        return self._bindings[first_slot, count]


def _cache(provider: Provider, manifest: Manifest, shape: Shape, dtype: np.dtype[Any]) -> Cache:
    count = 2 * manifest.decoder.layers
    if provider == "cpu":
        return CpuCache(count, shape, dtype)
    try:
        from edgevlm_engines.cuda.kv_cache import CudaCache
    except ImportError:
        raise EngineLoadError("CUDA's bindings are not installed; install the 'gpu' extra of edgevlm.") from None
    try:
        return CudaCache(count, shape, dtype, graph_weights(manifest))
    except CudaError as error:
        kind = NotNow if error.held_by_others else EngineLoadError
        raise kind(f"The KV cache cannot be allocated: {error}") from None
