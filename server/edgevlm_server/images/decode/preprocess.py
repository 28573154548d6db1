"""A decoded picture to the array that the vision encoder takes. Knows pixels: no bytes, formats or HTTP."""

import numpy as np
from edgevlm_engines import Preprocessing
from numpy.typing import NDArray
from PIL import Image

from edgevlm_server.images.decode.square import fit_square


def preprocess(image: Image.Image, spec: Preprocessing) -> NDArray[np.float32]:
    """Pads, resizes and normalises an RGB picture of any size: float32 [3, spec.size, spec.size].

    Raises ValueError when the picture is not in mode RGB.
    """
    return normalise(fit_square(image, spec.size, spec.pad_colour), spec)


def normalise(square: Image.Image, spec: Preprocessing) -> NDArray[np.float32]:
    """`(value / 255 - mean) / std` of an RGB picture of `size` x `size` pixels: float32 [3, size, size]."""
    channels_last = (np.asarray(square) * (1 / 255)).astype(np.float32)
    scaled = (channels_last - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))
