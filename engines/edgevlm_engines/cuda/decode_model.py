"""A decoder on kernels of our own: its weights on the device, its kernels, and steps over a cache. Knows no tokens.

Run on an H200 (`make gpu`), not on a Jetson.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevlm_engines.cuda.compiler import compiled
from edgevlm_engines.cuda.decode_launches import StepCache, StepShape, StepWeights, placed
from edgevlm_engines.cuda.decode_step import DecodeStep, Kernels, processors, source
from edgevlm_engines.cuda.owned import owned
from edgevlm_engines.cuda.runtime import DeviceMemory, enter_thread
from edgevlm_engines.engine import Floats
from edgevlm_engines.kv_cache import Cache
from edgevlm_engines.manifest import Decoder


class DecodeModel:
    """Weights of its own, beside those that prefill; the cache, in device memory, stays the caller's.

    The cache's buffers are the first layer's keys and values, then the next one's.
    """

    def __init__(self, model: Decoder, arrays: Mapping[str, NDArray[Any]], cache: Cache) -> None:
        """`arrays` by the names that export gives them. Raises `CudaError`."""
        enter_thread()
        slots, _, capacity, _ = cache.shape
        keys, values = ([cache.pointer(2 * layer + side, 0) for layer in range(model.layers)] for side in (0, 1))
        with ExitStack() as release:
            kernels = owned(release, Kernels(compiled(source(), "decode.cu")))
            weights = _upload(model, arrays, release)
            shape, places = StepShape(model, processors()), StepCache(keys, values, capacity)
            self._step = owned(release, DecodeStep(shape, kernels, weights, places, slots))
            self._release = release.pop_all()

    def decode(self, hidden: NDArray[np.float16], lengths: NDArray[np.integer[Any]]) -> Floats:
        """One position of slots `0..n-1`, which hold `lengths` `[n]`: `[n, hidden_size]` -> `[n, vocab_size]`.

        A slot gets the same bits whatever else is in the step.
        """
        enter_thread()
        return self._step.run(hidden, lengths)

    def free(self) -> None:
        """Give everything back. Calling it again does nothing."""
        enter_thread()
        self._release.close()


def _upload(model: Decoder, arrays: Mapping[str, NDArray[Any]], release: ExitStack) -> StepWeights:
    def put(array: NDArray[Any]) -> int:
        memory = owned(release, DeviceMemory(array.nbytes))
        memory.upload(np.ascontiguousarray(array))
        return memory.address

    return placed(arrays, model.layers, put)
