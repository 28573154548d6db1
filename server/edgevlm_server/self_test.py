"""A trial of a loaded model: a drawn picture, a prompt, one token. It also warms up what the first client needs."""

from collections.abc import Iterator

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Engine, EngineError, Floats, Manifest

from edgevlm_server.images.decode.drawing import drawn_pixels


def self_test(engine: Engine, manifest: Manifest) -> None:
    """Raise `EngineError` if what the model computes is not finite. Whatever an engine raises comes out of here."""
    for what, values in _trial(engine, manifest):
        if not np.isfinite(values).all():
            raise EngineError(
                f"The model failed its test: its {what} has values that are not finite; the bundle or the runtime is "
                "broken."
            )


def _trial(engine: Engine, manifest: Manifest) -> Iterator[tuple[str, Floats]]:
    """Slot 0 is written to; a sequence that gets it writes to the same positions first."""
    pixels = drawn_pixels(manifest.preprocessing)
    yield "input", pixels
    features = engine.encode_images(pixels[np.newaxis])[0]
    yield "vision encoder", features
    logits = engine.prefill(0, 0, np.array([manifest.prompt.bos_id, IMAGE_TOKEN]), features[:1])
    yield "prefill", logits
    yield "decode", engine.decode(np.array([logits.argmax()]), np.array([2]))
