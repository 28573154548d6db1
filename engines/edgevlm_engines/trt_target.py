"""What runs TensorRT plans on this machine. Knows no plans and no models."""

from edgevlm_engines.errors import CudaError, EngineLoadError
from edgevlm_engines.plans import Target, system_release


def this_target() -> Target:
    """This machine's TensorRT and GPU. Raises `EngineLoadError` with one sentence where one of them is missing."""
    try:
        import tensorrt
    except ImportError:
        raise EngineLoadError(
            "TensorRT is not installed; it comes with JetPack as python3-libnvinfer, and a virtual environment sees "
            "it if it was made with --system-site-packages."
        ) from None
    try:
        from edgevlm_engines.cuda import device
    except ImportError:
        raise EngineLoadError(
            "CUDA's Python bindings are not installed; install edgevlm with its 'jetson' extra."
        ) from None
    try:
        found = device()
    except CudaError as error:
        raise EngineLoadError(f"CUDA finds no GPU here: {str(error).rstrip('.')}.") from None
    return Target(tensorrt.__version__, found.name, ".".join(map(str, found.compute)), system_release())
