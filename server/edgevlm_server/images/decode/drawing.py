"""A picture for trying a model without a client's. Knows no models."""

import numpy as np
from edgevlm_engines import Preprocessing
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edgevlm_server.images.decode.preprocess import preprocess


def drawn_pixels(spec: Preprocessing) -> NDArray[np.float32]:
    """A black, a white and coloured shapes on grey, wider than high so that it is padded: float32 [3, size, size]."""
    image = Image.new("RGB", (96, 64), (128, 128, 128))
    draw = ImageDraw.Draw(image)
    for place, colour in enumerate(("black", "white", "red", "lime", "blue")):
        draw.ellipse((18 * place, 12 * place, 18 * place + 15, 12 * place + 15), fill=colour)
    return preprocess(image, spec)
