"""The vision encoder on ONNX Runtime: its session and the one thread that runs it, beside decoding and behind it."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edgevlm_engines.bundle import VISION, Bundle
from edgevlm_engines.engine import Floats
from edgevlm_engines.names import Provider
from edgevlm_engines.ort.session import open_session
from edgevlm_engines.ort.tensors import check_tensors, vision_tensors
from edgevlm_engines.ort.vision_session import CapturedVision, PlainVision

NICENESS = 3
"""Half the weight of a decoding thread: what running answers and pictures both bear, as measured in
`docs/decisions/2026-11-25-pictures-give-way.md`."""


class OrtEncoder:
    """One picture a call.

    A running answer's next token comes before a picture: the thread has a lower priority, the threads that the
    runtime starts from it inherit that, and none of them spins while it waits.
    """

    def __init__(self, bundle: Bundle, provider: Provider, threads: int) -> None:
        # always the same thread: what is captured on CUDA belongs to the one that captured it
        self._thread = ThreadPoolExecutor(1, "encoder", initializer=_give_way)
        try:
            self._vision: PlainVision | CapturedVision | None = self._thread.submit(
                _open, bundle, provider, threads
            ).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def run(self, picture: Floats) -> Floats:
        """`[3, image_size, image_size]` -> `[image_tokens, hidden_size]`."""
        assert self._vision is not None, "closed"
        features: Floats = self._thread.submit(self._vision.run, picture[np.newaxis]).result()[0]
        return features

    def close(self) -> None:
        """Wait for the picture at hand, then release the session. Calling it again does nothing."""
        self._thread.shutdown()
        self._vision = None


def _open(bundle: Bundle, provider: Provider, threads: int) -> PlainVision | CapturedVision:
    manifest = bundle.manifest
    on_cpu = provider == "cpu"
    session = open_session(bundle, VISION, provider, threads, spinning=not on_cpu, captured=not on_cpu)
    check_tensors(session, vision_tensors(manifest), bundle.path(VISION))
    if on_cpu:
        return PlainVision(session)
    size = manifest.preprocessing.size
    features = (1, manifest.vision.image_tokens, manifest.decoder.hidden_size)
    return CapturedVision(session, provider, (1, 3, size, size), features)


def _give_way() -> None:
    """On Linux niceness belongs to a thread; elsewhere it would be the whole process's."""
    if sys.platform == "linux":
        os.nice(NICENESS)
