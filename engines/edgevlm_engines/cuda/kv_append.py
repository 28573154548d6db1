"""Appends new keys and values to the KV cache on the device: one kernel for all layers. Not yet run on a Jetson.

For decoders that output new keys and values and leave the cache alone. A kernel and not copies: a captured graph
repeats it, and must read anew each time where to write.
"""

import ctypes
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from cuda.bindings import driver

from edgevlm_engines.cuda.compiler import compiled
from edgevlm_engines.cuda.owned import owned
from edgevlm_engines.cuda.runtime import DeviceMemory, Stream, call

SOURCE = r"""
/* Grid: x over the words of one slot, y over the buffers, z over the slots of the step. `table` holds two addresses
   for each buffer: of what is new, [slots of the step, heads, sequence, words], and of the cache, [slots, heads,
   capacity, words]. Slot z of the step is slot `first + z` of the cache, and its new positions begin at
   past_length[z]. A word is 4 bytes. */
extern "C" __global__ void append(const unsigned long long *table, const int *past_length, int first, int heads,
                                  int sequence, int capacity, int words)
{
    const unsigned int *fresh = (const unsigned int *)table[2 * blockIdx.y];
    unsigned int *cache = (unsigned int *)table[2 * blockIdx.y + 1];
    const int slot = blockIdx.z;
    const int past = past_length[slot];
    const int head_words = sequence * words;
    if (past < 0 || past + sequence > capacity)
        return;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < heads * head_words; i += gridDim.x * blockDim.x) {
        const long long head = i / head_words;
        const long long target = ((long long)(first + slot) * heads + head) * capacity + past;
        cache[target * words + i % head_words] = fresh[(long long)slot * heads * head_words + i];
    }
}
"""
THREADS = 256
MOST_BLOCKS = 32
WORD = 4


class Append:
    """The kernel, and the table of addresses that it works on: pairs of `(new, cache)`, one a layer and side."""

    def __init__(self, pairs: Sequence[tuple[int, int]], heads: int, capacity: int, vector_bytes: int) -> None:
        assert vector_bytes % WORD == 0, "a head's dimension is even, for rotary embedding"
        self._buffers, self._heads, self._capacity = len(pairs), heads, capacity
        self._words = vector_bytes // WORD
        with ExitStack() as release:
            self._module = call(driver.cuModuleLoadData, compiled(SOURCE, "append.cu"))
            release.callback(lambda: call(driver.cuModuleUnload, self._module))
            self._function = call(driver.cuModuleGetFunction, self._module, b"append")
            table = np.array(pairs, np.uint64)
            self._table = owned(release, DeviceMemory(table.nbytes))
            self._table.upload(table)
            self._release = release.pop_all()

    def launch(self, first_slot: int, slots: int, sequence: int, past_length: int, stream: Stream) -> None:
        """Enqueue the step of slots `first_slot` on; `past_length` is the address of int32 `[slots]` before it."""
        words = self._heads * sequence * self._words
        blocks = min(-(-words // THREADS), MOST_BLOCKS)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        values = (
            *(self._table.address, past_length),
            *(first_slot, self._heads, sequence, self._capacity, self._words),
        )
        types = (pointer, pointer, number, number, number, number, number)
        grid, block, shared_memory = (blocks, self._buffers, slots), (THREADS, 1, 1), 0
        call(driver.cuLaunchKernel, self._function, *grid, *block, shared_memory, stream.number, (values, types), 0)

    def free(self) -> None:
        self._release.close()
