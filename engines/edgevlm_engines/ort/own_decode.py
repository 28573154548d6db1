"""Whether decode steps run on kernels of our own instead of ONNX Runtime's, and with which weights."""

import logging
from typing import TYPE_CHECKING

from edgevlm_engines.bundle import DECODER, Bundle
from edgevlm_engines.errors import CudaError
from edgevlm_engines.kv_cache import Cache
from edgevlm_engines.ort.initializers import read_initializers

if TYPE_CHECKING:
    from edgevlm_engines.cuda.decode_model import DecodeModel

log = logging.getLogger(__name__)


def own_decode(bundle: Bundle, cache: Cache) -> "DecodeModel | None":
    """Where device and shape suit them; `None` where ONNX Runtime is to decode.

    The runtime prefills, and keeps weights that nothing else may use: ours are a second copy. Where there is no room
    for that, or no compiler, steps are slower and nothing is worse.
    """
    from edgevlm_engines.cuda.decode_model import DecodeModel
    from edgevlm_engines.cuda.decode_step import runs_here

    model = bundle.manifest.decoder
    try:
        return DecodeModel(model, read_initializers(bundle.path(DECODER)), cache) if runs_here(model) else None
    except CudaError as error:
        log.warning("Decode steps run on ONNX Runtime, which is slower: %s", error)
        return None
