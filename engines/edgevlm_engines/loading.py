"""Engines by name. Each one's runtime is imported when it is asked for, and only then."""

from pathlib import Path
from typing import get_args

from edgevlm_engines.bundle import Bundle
from edgevlm_engines.echo import EchoEngine, echo_info
from edgevlm_engines.engine import Engine
from edgevlm_engines.errors import EngineLoadError
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.names import EngineName, Provider


def load_engine(
    name: str,
    bundle: Bundle,
    *,
    slots: int,
    max_length: int | None = None,
    provider: Provider = "cpu",
    threads: int = 0,
    plans: Path | None = None,
    cuda_graphs: bool = True,
) -> Engine:
    """Load a bundle with room for `slots` sequences of `max_length` positions (default: the most it takes).

    `provider` and `threads` are for ONNX Runtime; `plans`, the folder of plans (default: the one beside the bundle),
    and `cuda_graphs` for TensorRT. Raises `EngineLoadError` with one sentence.
    """
    length = slot_length(bundle.manifest, slots, max_length)
    if name == "echo":
        return _echo(bundle, slots, length)
    if name == "ort":
        return _ort(bundle, slots, length, provider, threads)
    if name == "trt":
        return _trt(bundle, slots, length, plans, cuda_graphs)
    raise EngineLoadError(f"There is no engine '{name}'; known are {', '.join(get_args(EngineName))}.")


def engine_for(manifest: Manifest, chosen: EngineName | None) -> EngineName:
    """The engine that was chosen, or the one that a bundle was made for."""
    return chosen or ("ort" if manifest.flavour == "ort" else "trt")


def provider_for(manifest: Manifest, chosen: Provider | None) -> Provider:
    """Where ONNX Runtime is to run: as chosen, or where a bundle was made for."""
    return chosen or ("cuda" if manifest.device == "cuda" else "cpu")


def slot_length(manifest: Manifest, slots: int, max_length: int | None) -> int:
    """Positions of one slot. Raises `EngineLoadError` unless a bundle allows that many slots of that length."""
    length = manifest.max_length if max_length is None else max_length
    if not 0 < slots <= manifest.max_slots:
        raise EngineLoadError(f"This bundle allows 1 to {manifest.max_slots} slots (--max-batch), not {slots}.")
    if not manifest.vision.image_tokens < length <= manifest.max_length:
        raise EngineLoadError(
            f"The length (--max-length) must lie between {manifest.vision.image_tokens + 1}, for one image, "
            f"and {manifest.max_length}, the most that this model takes; it is {length}."
        )
    return length


def _echo(bundle: Bundle, slots: int, length: int) -> Engine:
    info = echo_info(bundle.manifest, slots=slots, max_length=length, chunk=256)
    return EchoEngine(info, bundle.manifest.prompt.eos_id)


def _ort(bundle: Bundle, slots: int, length: int, provider: Provider, threads: int) -> Engine:
    try:
        from edgevlm_engines.ort.engine import OrtEngine
    except ImportError:
        raise EngineLoadError(
            "ONNX Runtime is not installed; install edgevlm with its 'cpu' or 'gpu' extra."
        ) from None
    return OrtEngine(bundle, slots=slots, max_length=length, provider=provider, threads=threads)


def _trt(bundle: Bundle, slots: int, length: int, plans: Path | None, cuda_graphs: bool) -> Engine:
    if bundle.manifest.flavour == "ort":
        raise EngineLoadError(
            f"This bundle was made for {bundle.manifest.device} and runs on ONNX Runtime; for TensorRT, export the "
            "model with --device jetpack6, jetpack7 or rtx."
        )
    from edgevlm_engines.trt.target import this_target

    # first, since it says in a sentence what is missing
    target = this_target(bundle.manifest.device)
    from edgevlm_engines.trt.engine import TrtEngine

    return TrtEngine(bundle, slots=slots, max_length=length, target=target, plans=plans, cuda_graphs=cuda_graphs)
