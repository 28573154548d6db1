"""Models of random weights in a device's memory, and the time of what is enqueued there. Knows no tables."""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np
from cuda.bindings import driver, runtime
from edgevlm_engines.cuda.compiler import compiled
from edgevlm_engines.cuda.decode_launches import Launch, LayerWeights, StepCache, StepWeights
from edgevlm_engines.cuda.decode_step import Kernels
from edgevlm_engines.cuda.runtime import DeviceMemory, Graph, Stream, call, capture
from edgevlm_engines.manifest import Decoder
from numpy.typing import NDArray

from benchmarks.decode_reference import Layer, Stack, rope_tables

SOURCE = r"""
/* Halves evenly spread over middle - reach .. middle + reach, by a hash of place and seed. */
extern "C" __global__ void draw(unsigned short *to, unsigned long long count, unsigned int seed, float middle,
                                float reach)
{
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
        unsigned int hash = (unsigned int)i * 2654435761u ^ seed * 2246822519u ^ (unsigned int)(i >> 32);
        hash = (hash ^ hash >> 16) * 2146121005u;
        hash = (hash ^ hash >> 15) * 2221713035u;
        hash ^= hash >> 16;
        const float value = middle + reach * ((float)(hash >> 8) / 8388608.0f - 1.0f);
        unsigned short half;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
        to[i] = half;
    }
}

/* Reads all and writes next to nothing. `count` is in units of 16 bytes. */
extern "C" __global__ void read(const uint4 *from, unsigned long long count, unsigned int *to)
{
    unsigned int all = 0;
    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    const unsigned long long start = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll 8
    for (unsigned long long i = start; i < count; i += stride) {
        const uint4 word = __ldg(from + i);
        all ^= word.x ^ word.y ^ word.z ^ word.w;
    }
    if (all == 0x12345678u)
        *to = all;
}
"""
READ_BYTES = 2 << 30


class Tools:
    """The two kernels above."""

    def __init__(self, stream: Stream, processors: int) -> None:
        self._module = call(driver.cuModuleLoadData, compiled(SOURCE, "tools.cu"))
        self._stream, self._processors = stream, processors

    def draw(self, address: int, count: int, seed: int, middle: float, reach: float) -> None:
        """Fill `count` halves."""
        types = (ctypes.c_void_p, ctypes.c_ulonglong, ctypes.c_uint, ctypes.c_float, ctypes.c_float)
        self._launch(b"draw", ((address, count, seed, middle, reach), types))

    def read_bandwidth(self) -> float:
        """Bytes a second, of a buffer far larger than any cache."""
        memory = DeviceMemory(READ_BYTES)
        self.draw(memory.address, READ_BYTES // 2, 1, 0, 1)
        types = (ctypes.c_void_p, ctypes.c_ulonglong, ctypes.c_void_p)
        arguments = ((memory.address, READ_BYTES // 16, memory.address), types)
        best = min(intervals(self._stream, lambda: self._launch(b"read", arguments), 10))
        memory.free()
        return READ_BYTES / best

    def free(self) -> None:
        call(driver.cuModuleUnload, self._module)

    def _launch(self, name: bytes, arguments: Any) -> None:
        function = call(driver.cuModuleGetFunction, self._module, name)
        sizes = (8 * self._processors, 1, 1, 256, 1, 1, 0)
        call(driver.cuLaunchKernel, function, *sizes, self._stream.number, arguments, 0)


class DeviceModel:
    """Weights and cache; `weights` and `cache` hold their addresses, `heads` those of more heads like that one."""

    weights: StepWeights
    cache: StepCache
    heads: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._release = ExitStack()

    def free(self) -> None:
        self._release.close()

    def memory(self, size: int) -> int:
        """Uninitialised, until this is freed."""
        memory = DeviceMemory(size)
        self._release.callback(memory.free)
        return memory.address

    def put(self, array: NDArray[Any]) -> int:
        """A copy of an array."""
        memory = DeviceMemory(array.nbytes)
        self._release.callback(memory.free)
        memory.upload(np.ascontiguousarray(array))
        return memory.address


def uploaded(stack: Stack, cache: NDArray[np.float16]) -> DeviceModel:
    """Given weights, and a past `[2, layers, slots, kv_heads, capacity, head_dim]`."""
    model = DeviceModel()
    layers = [_uploaded_layer(model, layer) for layer in stack.layers]
    model.weights = StepWeights(
        layers, model.put(stack.norm), model.put(stack.head), model.put(stack.cosines), model.put(stack.sines)
    )
    keys, values = ([model.put(layer) for layer in side] for side in cache)
    model.cache = StepCache(keys, values, cache.shape[4])
    return model


def _uploaded_layer(model: DeviceModel, layer: Layer) -> LayerWeights:
    names = ("input_norm", "qkv", "output", "post_norm", "gate_up", "down")
    return LayerWeights(*(model.put(getattr(layer, name)) for name in names))


def drawn(shape: Decoder, slots: int, capacity: int, tools: Tools) -> DeviceModel:
    """Random weights, other ones in every layer, and a random past."""
    model = DeviceModel()
    width, inner = shape.hidden_size, shape.intermediate_size
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    seeds = iter(range(1, 1 << 20))

    def draw(count: int, middle: float, reach: float) -> int:
        address = model.memory(2 * count)
        tools.draw(address, count, next(seeds), middle, reach)
        return address

    def matrix(inputs: int, outputs: int) -> int:
        return draw(inputs * outputs, 0, (3 / inputs) ** 0.5)

    layers = [
        LayerWeights(
            *(draw(width, 1, 0.1), matrix(width, query + 2 * key), matrix(query, width)),
            *(draw(width, 1, 0.1), matrix(width, 2 * inner), matrix(inner, width)),
        )
        for _ in range(shape.layers)
    ]
    tables = map(model.put, rope_tables(shape, capacity))
    model.weights = StepWeights(layers, draw(width, 1, 0.1), matrix(width, shape.vocab_size), *tables)
    model.heads = tuple(matrix(width, shape.vocab_size) for _ in range(3))
    keys, values = ([draw(slots * key * capacity, 0, 1) for _ in range(shape.layers)] for _ in range(2))
    model.cache = StepCache(keys, values, capacity)
    call(runtime.cudaDeviceSynchronize)
    return model


def captured(launches: Sequence[Launch], kernels: Kernels, stream: Stream) -> Graph:
    """These launches as a graph, the first of which waits for what was before."""

    def enqueue() -> None:
        for index, launch in enumerate(launches):
            kernels.enqueue(launch if index else launch._replace(overlaps=False), stream)

    # once plainly, which loads the kernels
    enqueue()
    stream.synchronize()
    return capture(stream, enqueue)


def intervals(stream: Stream, enqueue: Callable[[], None], count: int) -> list[float]:
    """Seconds that the device takes from one call's work to the next one's; the first few are not counted."""
    for _ in range(3):
        enqueue()
    events = [call(runtime.cudaEventCreate) for _ in range(count + 1)]
    for event in events[:-1]:
        call(runtime.cudaEventRecord, event, stream.handle)
        enqueue()
    call(runtime.cudaEventRecord, events[-1], stream.handle)
    stream.synchronize()
    pairs = pairwise(events)
    seconds = [call(runtime.cudaEventElapsedTime, start, stop) / 1e3 for start, stop in pairs]
    for event in events:
        call(runtime.cudaEventDestroy, event)
    return seconds
