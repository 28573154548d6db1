"""What a GPU can do at best, and how much of its memory is free. Knows no models.

The bindings of CUDA are imported when something is asked. Each function raises `CudaError` for what a device refuses.
"""

import ctypes
from contextlib import ExitStack

import numpy as np

from benchmarks.matmul import matmul_session
from benchmarks.measure import timed

READ_BYTES = 1 << 31
"""Well beyond the cache of any GPU."""

BLOCKS, THREADS, UNROLLED, WORD = 4096, 256, 4, 16
LAUNCHES = 8
"""Kernels in one pass: one alone takes little longer than it takes to start it."""

EDGE = 8192
REPEATS = 5

SOURCE = r"""
typedef struct __attribute__((aligned(16))) { unsigned long long low, high; } word;

/* Reads `count` words, a multiple of four times the number of threads. Each thread writes the sum of its own: the
   compiler would leave out a reading that nothing depends on. */
extern "C" __global__ void sum_words(const word *words, unsigned long long *sums, long long count)
{
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long stride = (long long)gridDim.x * blockDim.x;
    unsigned long long sum = 0;
    for (long long i = thread; i < count; i += 4 * stride) {
        const word a = words[i], b = words[i + stride], c = words[i + 2 * stride], d = words[i + 3 * stride];
        sum += a.low + a.high + b.low + b.high + c.low + c.high + d.low + d.high;
    }
    sums[thread] = sum;
}
"""


def free_memory() -> int:
    """Bytes that the device could still hand out."""
    from edgevlm_engines.cuda import runtime

    runtime.enter_thread()
    return runtime.free_memory()


def read_bandwidth() -> float:
    """Bytes a second that a kernel reads from the device's memory, the best of some passes."""
    from cuda.bindings import driver
    from edgevlm_engines.cuda.compiler import compiled
    from edgevlm_engines.cuda.runtime import DeviceMemory, Stream, call

    # where the processor has the same memory, it is not for this alone
    size = _whole_rounds(min(READ_BYTES, free_memory() // 2))
    with ExitStack() as release:
        stream = Stream(urgent=True)
        release.callback(stream.free)
        module = call(driver.cuModuleLoadData, compiled(SOURCE, "read.cu"))
        release.callback(lambda: call(driver.cuModuleUnload, module))
        function = call(driver.cuModuleGetFunction, module, b"sum_words")
        words, sums = DeviceMemory(size), DeviceMemory(8 * BLOCKS * THREADS)
        release.callback(words.free)
        release.callback(sums.free)
        words.zero(stream)
        values = (words.address, sums.address, size // WORD), (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_longlong)

        def read(_: int) -> None:
            for _launch in range(LAUNCHES):
                call(driver.cuLaunchKernel, function, BLOCKS, 1, 1, THREADS, 1, 1, 0, stream.number, values, 0)
            stream.synchronize()

        return LAUNCHES * size / timed(read, REPEATS).minimum


def multiplication_rate() -> float | None:
    """Floating-point operations a second of ONNX Runtime's float16 matmul of large square matrices.

    `None` without ONNX Runtime's CUDA provider. Nothing is copied between host and device.
    """
    session = matmul_session(EDGE, np.float16, "CUDAExecutionProvider")
    if session is None:
        return None
    from onnxruntime import OrtValue

    matrix = np.random.default_rng(0).standard_normal((EDGE, EDGE), dtype=np.float32).astype(np.float16)
    binding = session.io_binding()
    binding.bind_ortvalue_input("left", OrtValue.ortvalue_from_numpy(matrix, "cuda", 0))
    binding.bind_output("product", "cuda")

    def multiply(_: int) -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return float(2 * EDGE**3 / timed(multiply, REPEATS, warm_up=2).minimum)


def _whole_rounds(size: int) -> int:
    round_bytes = BLOCKS * THREADS * UNROLLED * WORD
    return max(size // round_bytes, 1) * round_bytes
