"""What a model costs on paper: bytes that a step reads, operations that a token takes. Knows no clocks."""

from edgevlm_engines import Manifest
from edgevlm_engines.bundle import DECODER_WEIGHTS


def bundle_bytes(manifest: Manifest) -> int:
    """All files."""
    return sum(file.size for file in manifest.files.values())


def decoder_bytes(manifest: Manifest) -> int:
    """The decoder's weights, of which every step reads each once, however many slots it advances."""
    return manifest.files[DECODER_WEIGHTS].size


def token_operations(manifest: Manifest) -> int:
    """Floating-point operations of the layers' matmuls for a token of a prompt; attention and head left out."""
    decoder = manifest.decoder
    attention = decoder.hidden_size * decoder.head_dim * 2 * (decoder.heads + decoder.kv_heads)
    return 2 * decoder.layers * (attention + 3 * decoder.hidden_size * decoder.intermediate_size)
