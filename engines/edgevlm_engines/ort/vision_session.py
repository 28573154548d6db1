"""Ways to run the vision encoder: plainly, or on CUDA as one captured graph. One thread opens and runs it."""

import numpy as np
import onnxruntime

from edgevlm_engines.engine import Floats
from edgevlm_engines.names import Provider

WARM_UPS = 2
"""The first run finds kernels and memory, the second is captured."""


class PlainVision:
    """`[1, 3, image_size, image_size]` -> `[1, image_tokens, hidden_size]`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def run(self, pixels: Floats) -> Floats:
        [features] = self._session.run(["features"], {"pixels": pixels})
        encoded: Floats = features
        return encoded


class CapturedVision:
    """The same with inputs and outputs in one place, so that a session that captures can repeat its kernels.

    To launch them one by one takes a processor longer than a large GPU takes for a picture.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        provider: Provider,
        pixels: tuple[int, ...],
        features: tuple[int, ...],
    ) -> None:
        """Shapes are those of one call, on `provider`'s device."""
        self._session = session
        self._pixels = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(pixels, np.float32), provider, 0)
        self._features = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(features, np.float32), provider, 0)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("pixels", self._pixels)
        self._binding.bind_ortvalue_output("features", self._features)
        for _ in range(WARM_UPS):
            session.run_with_iobinding(self._binding)

    def run(self, pixels: Floats) -> Floats:
        self._pixels.update_inplace(np.ascontiguousarray(pixels))
        self._session.run_with_iobinding(self._binding)
        # a copy in any case: on a CPU this is the bound memory itself
        encoded: Floats = self._features.numpy().copy()
        return encoded
