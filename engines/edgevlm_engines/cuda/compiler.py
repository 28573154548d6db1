"""Compiles CUDA source for the device of this machine. Knows no kernels."""

from cuda.bindings import nvrtc

from edgevlm_engines.cuda.runtime import call, device
from edgevlm_engines.errors import CudaError


def compiled(source: str, name: str) -> bytes:
    """Machine code for this device. Raises `CudaError` with the compiler's words."""
    major, minor = device().compute
    program = call(nvrtc.nvrtcCreateProgram, source.encode(), name.encode(), 0, [], [])
    try:
        options = [f"--gpu-architecture=sm_{major}{minor}".encode()]
        try:
            call(nvrtc.nvrtcCompileProgram, program, len(options), options)
        except CudaError as error:
            text = bytearray(call(nvrtc.nvrtcGetProgramLogSize, program))
            call(nvrtc.nvrtcGetProgramLog, program, text)
            said = " ".join(text.decode("utf-8", "replace").strip("\0").split())
            raise CudaError(error.call, f"{error.code} ({said})") from None
        code = bytearray(call(nvrtc.nvrtcGetCUBINSize, program))
        call(nvrtc.nvrtcGetCUBIN, program, code)
        return bytes(code)
    finally:
        call(nvrtc.nvrtcDestroyProgram, program)
