"""What `tensorrt_rtx` has and `tensorrt` has not: kernels compiled when a context is made, and a cache of them.

A kernel is a text here. A cache that was written by another version or for another GPU is refused.
"""

from enum import IntEnum

from tests.tensorrt.standin.machine import Machine
from tests.tensorrt.standin.tensorrt_types import Counted, ExecutionContextAllocationStrategy


class CudaGraphStrategy(IntEnum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class DynamicShapesKernelSpecializationStrategy(IntEnum):
    LAZY = 0
    EAGER = 1
    NONE = 2


def names() -> dict[str, object]:
    """Everything that the module holds of this."""
    own = (CudaGraphStrategy, DynamicShapesKernelSpecializationStrategy, IRuntimeCache, IRuntimeConfig)
    return {value.__name__: value for value in own}


class IRuntimeCache(Counted):
    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._made_by = f"{machine.tensorrt} on {machine.name}"
        self.kernels: list[str] = []
        machine.caches.add(self)

    def serialize(self) -> "memoryview[int]":
        return memoryview("\n".join([self._made_by, *self.kernels]).encode())

    def deserialize(self, blob: bytes) -> bool:
        self.machine.record("IRuntimeCache.deserialize")
        made_by, *kernels = bytes(blob).decode().split("\n")
        if made_by != self._made_by or "IRuntimeCache.deserialize" in self.machine.refuse:
            return False
        self.kernels = kernels
        return True

    def reset(self) -> bool:
        self.kernels.clear()
        return True


class IRuntimeConfig(Counted):
    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.strategy = ExecutionContextAllocationStrategy.STATIC
        self.cuda_graph_strategy = CudaGraphStrategy.DISABLED
        self.dynamic_shapes_kernel_specialization_strategy = DynamicShapesKernelSpecializationStrategy.LAZY
        self._cache: IRuntimeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: ExecutionContextAllocationStrategy) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache(self.machine)

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._cache = cache
        return True

    def compile(self, kernel: str) -> None:
        """A context is made: what the cache does not hold takes its time."""
        if self.dynamic_shapes_kernel_specialization_strategy is DynamicShapesKernelSpecializationStrategy.LAZY:
            raise self.machine.violate("kernels that change in the background, and with them the bits of an answer")
        if self._cache is None:
            raise self.machine.violate("kernels that are compiled again at each start")
        if kernel not in self._cache.kernels:
            self.machine.record("compile", kernel=kernel)
            self._cache.kernels.append(kernel)
