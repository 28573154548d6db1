"""Pictures to the tower's pixels, as serving makes them: padded, then reduced. Numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from edgevlm_demo.scenes import SIDE
from edgevlm_server.images.decode.square import fit_square
from numpy.typing import NDArray
from PIL import Image

MEAN = np.array((0.48145466, 0.4578275, 0.40821073), dtype=np.float32)
STD = np.array((0.26862954, 0.26130258, 0.27577711), dtype=np.float32)
PADDING = (122, 116, 104)  # the mean in grey levels, truncated as upstream does


def squares(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """`[N, 3, 168, 168]` bytes: padded and reduced."""
    stacked = np.stack([np.asarray(fit_square(image, SIDE, PADDING)) for image in images])
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


def pixels(images: Sequence[Image.Image]) -> NDArray[np.float32]:
    """`[N, 3, 168, 168]`, normalised with CLIP's mean and deviation."""
    values = squares(images).astype(np.float32)
    values *= (1 / (255 * STD)).astype(np.float32)[:, None, None]
    values -= (MEAN / STD).astype(np.float32)[:, None, None]
    return values
