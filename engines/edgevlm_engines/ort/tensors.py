"""Whether a graph is the one that a manifest describes, by its inputs and outputs. Runs nothing."""

from collections.abc import Mapping

import onnxruntime

from edgevlm_engines.bundle import DECODER, Bundle
from edgevlm_engines.errors import BundleError
from edgevlm_engines.graph_names import cache_sides
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.ort.initializers import read_initializers

Shape = tuple[int | None, ...]
"""`None` for what a call decides."""
Tensors = Mapping[str, tuple[str, Shape]]
"""Type, as ONNX Runtime names it, and shape, by name."""


def decoder_tensors(manifest: Manifest) -> Tensors:
    """Of a decoder with its cache."""
    model, kind = manifest.decoder, "tensor(float16)" if manifest.precision == "fp16" else "tensor(float)"
    cache = (kind, (None, model.kv_heads, None, model.head_dim))
    return {
        "hidden": (kind, (None, None, model.hidden_size)),
        "last_position": ("tensor(int32)", (None,)),
        "total_length": ("tensor(int32)", ()),
        "logits": ("tensor(float)", (None, model.vocab_size)),
        **{f"{time}_{side}": cache for side in cache_sides(model.layers) for time in ("past", "present")},
    }


def vision_tensors(manifest: Manifest) -> Tensors:
    """Of a vision encoder with its projector."""
    size = manifest.preprocessing.size
    return {
        "pixels": ("tensor(float)", (None, 3, size, size)),
        "features": ("tensor(float)", (None, manifest.vision.image_tokens, manifest.decoder.hidden_size)),
    }


def check_tensors(session: onnxruntime.InferenceSession, expected: Tensors, graph: object) -> None:
    """Raise `BundleError`, naming `graph`, unless a session has just the inputs and outputs that are expected."""
    found = {
        tensor.name: (tensor.type, tuple(side if isinstance(side, int) else None for side in tensor.shape))
        for tensor in (*session.get_inputs(), *session.get_outputs())
    }
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise BundleError(
                f"{graph} does not fit the manifest: {name} is {_shown(found, name)}, and "
                f"{_shown(expected, name)} is expected; export the model again."
            )


def check_positions(bundle: Bundle) -> None:
    """Raise `BundleError` unless the decoder has a rotary angle for each position that the manifest allows."""
    angles = read_initializers(bundle.path(DECODER)).get("rope.cos")
    if angles is None or len(angles) < bundle.manifest.max_length:
        raise BundleError(
            f"{bundle.path(DECODER)} does not fit the manifest: it has no rotary angles for "
            f"{bundle.manifest.max_length} positions; export the model again."
        )


def _shown(tensors: Tensors, name: str) -> str:
    if name not in tensors:
        return "nothing"
    kind, shape = tensors[name]
    return f"{kind} [{', '.join('?' if side is None else str(side) for side in shape)}]"
