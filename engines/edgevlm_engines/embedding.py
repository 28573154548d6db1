"""The embedding of a bundle: one float16 row for each token, mapped from its file. Knows no graphs."""

from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike, NDArray

from edgevlm_engines.bundle import EMBEDDING, Bundle
from edgevlm_engines.engine import IMAGE_TOKEN, Floats, Tokens
from edgevlm_engines.errors import BundleError

_BLOCK = 1 << 22
_MAGNITUDE, _INFINITE = np.uint16(0x7FFF), 0x7C00
"""A float16's bits without the sign; from infinity on they are no number."""


def open_embedding(bundle: Bundle) -> NDArray[np.float16]:
    """`[vocab_size, hidden_size]`, finite. Raises `BundleError` for anything else."""
    path, model = bundle.path(EMBEDDING), bundle.manifest.decoder
    try:
        rows: NDArray[np.float16] = open_memmap(path, mode="r")
    except Exception as error:
        # numpy has a dozen kinds of them for files that are not its own
        raise BundleError(f"{path} is not an array that numpy has written; export the model again.") from error
    wanted = (model.vocab_size, model.hidden_size)
    if rows.dtype != np.float16 or rows.shape != wanted or not rows.flags.c_contiguous:
        raise BundleError(f"{path} is not the float16 {wanted} array of the manifest; export the model again.")
    values = rows.reshape(-1).view(np.uint16)
    for start in range(0, len(values), _BLOCK):
        # the bits tell ten times as fast as numpy's isfinite
        if (values[start : start + _BLOCK] & _MAGNITUDE).max() >= _INFINITE:
            raise BundleError(f"{path} holds a value that is not finite; export the model again.")
    return rows


def embedded(
    rows: NDArray[np.float16], tokens: Tokens, features: Floats, dtype: DTypeLike = np.float16
) -> NDArray[Any]:
    """What a decoder reads for tokens: `[n]` and `[k, hidden_size]` -> `[n, hidden_size]`.

    Each `IMAGE_TOKEN` takes the next row of `features`; `k` must equal their number.
    """
    is_image = tokens == IMAGE_TOKEN
    hidden = rows[np.where(is_image, 0, tokens)].astype(dtype, copy=False)
    hidden[is_image] = features
    return hidden
