"""The vision encoder on TensorRT: stream, context and buffers of its own, so that another thread may run it.

Its work gives way to the decoder's: a running answer's next token comes before a picture.
"""

import logging
from contextlib import ExitStack

import numpy as np

from edgevlm_engines.cuda.owned import owned
from edgevlm_engines.cuda.runtime import DeviceMemory, Graph, SharedArray, Stream, capture
from edgevlm_engines.engine import Floats
from edgevlm_engines.errors import DeviceError
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.trt.context import PlanEngine, Tensors, check_tensors

log = logging.getLogger(__name__)


class TrtVision:
    """One picture a call, and one call at a time."""

    def __init__(self, engine: PlanEngine, manifest: Manifest, *, graphs: bool) -> None:
        """`engine` stays the caller's. Raises `EngineLoadError` or `DeviceError`."""
        size = manifest.preprocessing.size
        pixels = (1, 3, size, size)
        features = (1, manifest.vision.image_tokens, manifest.decoder.hidden_size)
        single = np.dtype(np.float32)
        tensors: Tensors = {"pixels": ((-1, *pixels[1:]), single), "features": ((-1, *features[1:]), single)}
        check_tensors(engine, tensors)
        with ExitStack() as release:
            self._stream = owned(release, Stream(urgent=False))
            scratch = owned(release, DeviceMemory(max(engine.scratch_bytes, 1)))
            self._pixels = owned(release, SharedArray(pixels, np.float32))
            self._features = owned(release, SharedArray(features, np.float32))
            self._context = owned(release, engine.context(0, self._stream, scratch, few_shapes=True))
            addresses = {"pixels": self._pixels.address, "features": self._features.address}
            self._context.bind({"pixels": pixels}, addresses)
            self._graph = self._captured(release) if graphs else None
            self._release = release.pop_all()

    def encode(self, picture: Floats) -> Floats:
        """`[3, size, size]` pixels -> `[image_tokens, hidden_size]` features."""
        self._pixels.array[0] = picture
        if self._graph is not None:
            self._graph.launch(self._stream)
        else:
            self._enqueue()
        self._stream.synchronize()
        features: Floats = self._features.array[0].copy()
        return features

    def free(self) -> None:
        """Give everything back. Calling it again does nothing."""
        self._release.close()

    def _enqueue(self) -> None:
        self._pixels.send(1, self._stream)
        self._context.enqueue()
        self._features.fetch(1, self._stream)

    def _captured(self, release: ExitStack) -> Graph | None:
        """The work of one picture, which TensorRT wants to have run once before; `None` if it cannot be captured."""
        self._enqueue()
        self._stream.synchronize()
        try:
            return owned(release, capture(self._stream, self._enqueue))
        except DeviceError as error:
            log.warning("Pictures are encoded without a CUDA graph: %s", error)
            return None
