"""The vision encoder on TensorRT: stream, context and buffers of its own, so that another thread may run it.

Its work gives way to the decoder's: a running answer's next token comes before a picture.
"""

from contextlib import ExitStack

import numpy as np

from edgevlm_engines.cuda.runtime import DeviceMemory, HostArray, Stream
from edgevlm_engines.engine import Floats
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.owned import owned
from edgevlm_engines.trt.context import Plan, Tensors, check_tensors


class TrtVision:
    """One call at a time: `[n, 3, size, size]` pixels -> `[n, image_tokens, hidden_size]` features."""

    def __init__(self, plan: Plan, manifest: Manifest, images: int) -> None:
        """`images` at most run together. `plan` stays the caller's. Raises `EngineLoadError` or `DeviceError`."""
        size, width = manifest.preprocessing.size, manifest.decoder.hidden_size
        pixels, features = (3, size, size), (manifest.vision.image_tokens, width)
        single = np.dtype(np.float32)
        tensors: Tensors = {"pixels": ((-1, *pixels), single), "features": ((-1, *features), single)}
        check_tensors(plan, tensors)
        self._images = images
        with ExitStack() as release:
            self._stream = owned(release, Stream(urgent=False))
            scratch = owned(release, DeviceMemory(max(plan.scratch_bytes, 1)))
            self._pixels = owned(release, HostArray((images, *pixels), np.float32))
            self._features = owned(release, HostArray((images, *features), np.float32))
            self._context = owned(release, plan.context(0, self._stream, scratch))
            self._release = release.pop_all()

    def encode(self, pixels: Floats) -> Floats:
        parts = range(0, len(pixels), self._images)
        return np.concatenate([self._encode(pixels[start : start + self._images]) for start in parts])

    def free(self) -> None:
        """Give everything back. Calling it again does nothing."""
        self._release.close()

    def _encode(self, pixels: Floats) -> Floats:
        self._pixels.array[: len(pixels)] = pixels
        addresses = {"pixels": self._pixels.address, "features": self._features.address}
        self._context.bind({"pixels": pixels.shape}, addresses)
        self._context.enqueue()
        self._stream.synchronize()
        features: Floats = self._features.array[: len(pixels)].copy()
        return features
