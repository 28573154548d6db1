"""What can go wrong below the server.

EngineError
├── BundleError       the bundle cannot be used: missing, damaged, of another format. Nothing was loaded.
│   └── Unreadable    the system does not give its files: what is in them is not known.
├── EngineLoadError   the bundle is good, but this machine cannot run it as asked.
│   ├── NotNow        it cannot at this moment: others hold what it takes, or something is away.
│   └── PlanError     its TensorRT plans cannot be used: damaged, or built for something else. Nothing was loaded.
│       └── PlanMissing   there are none for this device and these options yet.
└── DeviceError       a call to the device failed: the engine that made it must not be used again.
    ├── CudaError     a call to CUDA
    └── TensorRtError a call to TensorRT

Each message is one sentence for the person who started the program. A mistake of the caller (a slot that does
not exist, a prompt past the end of the slot) is a `ValueError`: the scheduler prevents it, no client can cause it.
"""

import re


class EngineError(Exception):
    """Base of the errors that this room raises on purpose."""


class BundleError(EngineError):
    """The bundle is missing, damaged or of another format."""


class Unreadable(BundleError):
    """A file of the bundle is there and cannot be read: a right that is missing, or a disk or share that fails."""


class EngineLoadError(EngineError):
    """The bundle cannot be run on this machine with these options."""


class NotNow(EngineLoadError):
    """The same start may succeed a little later, without anything being changed."""


class PlanError(EngineLoadError):
    """The TensorRT plans of a bundle cannot be used here."""


class PlanMissing(PlanError):
    """The TensorRT plans of a bundle have not been built for this device and these options."""


class DeviceError(EngineError):
    """A call to the device failed."""

    @property
    def held_by_others(self) -> bool:
        """Whether others may hold the device, or its memory: the same call may succeed a little later."""
        return False


class CudaError(DeviceError):
    """`call` is the function's name, `code` the name of the status that it returned, or what the bindings said."""

    def __init__(self, call: str, code: str) -> None:
        super().__init__(f"{call} failed: {code}.")
        self.call = call
        self.code = code

    @property
    def out_of_memory(self) -> bool:
        return self.code in ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY")

    @property
    def held_by_others(self) -> bool:
        return self.out_of_memory or self.code in ("cudaErrorDevicesUnavailable", "CUDA_ERROR_DEVICE_UNAVAILABLE")


class TensorRtError(DeviceError):
    """TensorRT refused a call; the message repeats what its logger said."""

    @property
    def held_by_others(self) -> bool:
        return re.search("out ?of ?memory|GPU memory", str(self), re.IGNORECASE) is not None
