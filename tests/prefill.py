"""A whole prompt into an engine, for tests of several rooms."""

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Engine, Floats, Tokens


def no_features(engine: Engine) -> Floats:
    return np.zeros((0, engine.info.hidden_size), np.float32)


def prefill(
    engine: Engine, slot: int, tokens: Tokens, features: Floats | None = None, *, start: int = 0, chunk: int = 0
) -> Floats:
    """From `start` on, in chunks (the longest that the engine takes if none is given); logits of the last position.

    `features` are those of the images from `start` on.
    """
    features = no_features(engine) if features is None else features
    chunk = chunk or engine.info.max_chunk
    for begin in range(start, len(tokens), chunk):
        part = tokens[begin : begin + chunk]
        count = int((part == IMAGE_TOKEN).sum())
        logits = engine.prefill(slot, begin, part, features[:count])
        features = features[count:]
    return logits
