"""A loaded model and what belongs to it: engine, tokenizer, manifest. Knows no HTTP and no requests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgevlm_engines import (
    TOKENIZER,
    Bundle,
    Engine,
    EngineError,
    Manifest,
    available_memory,
    engine_for,
    load_engine,
    open_bundle,
    provider_for,
)

from edgevlm_server.memory_budget import MemoryBudget
from edgevlm_server.settings import Settings
from edgevlm_server.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that answers questions."""

    manifest: Manifest
    tokenizer: Tokenizer
    engine: Engine


Prepare = Callable[[Bundle, int, int], None]
"""Makes what TensorRT needs to run a bundle with so many slots of so many positions. Raises `EngineError`."""


def load_model(
    folder: Path,
    settings: Settings,
    progress: Callable[[int], None] = lambda count: None,
    *,
    prepare: Prepare | None = None,
    name: str | None = None,
) -> Model:
    """Verify the bundle, plan its memory, load the engine and run it once.

    `prepare` is called before TensorRT is to load; `name` is what clients shall call the model, if not
    as its bundle does. The engine may have fewer slots than the settings ask for. Raises `EngineError` with one clear
    sentence.
    """
    bundle = open_bundle(folder, progress)
    demand = MemoryBudget(bundle.manifest, settings, available_memory()).plan().demand
    kind = engine_for(bundle.manifest, settings.engine)
    if kind == "trt" and prepare is not None:
        prepare(bundle, demand.slots, demand.max_length)
    engine = load_engine(
        kind,
        bundle,
        slots=demand.slots,
        max_length=demand.max_length,
        provider=provider_for(bundle.manifest, settings.provider),
        threads=settings.threads,
        plans=settings.plans,
        cuda_graphs=not settings.no_cuda_graphs,
    )
    try:
        tokenizer = _tokenizer(bundle)
        _self_test(engine)
    except BaseException:
        engine.close()
        raise
    manifest = bundle.manifest.model_copy(update={"model": name}) if name else bundle.manifest
    return Model(manifest, tokenizer, engine)


def _tokenizer(bundle: Bundle) -> Tokenizer:
    """A vocabulary of another size would feed the model ids that it does not have."""
    try:
        tokenizer = Tokenizer(bundle.path(TOKENIZER))
    except RuntimeError:
        raise EngineError(f"{bundle.path(TOKENIZER)} is not a SentencePiece model.") from None
    expected = bundle.manifest.decoder.vocab_size
    if tokenizer.vocab_size != expected:
        raise EngineError(
            f"{bundle.path(TOKENIZER)} has {tokenizer.vocab_size} tokens, the model {expected}: they do not belong "
            "together."
        )
    return tokenizer


def _self_test(engine: Engine) -> None:
    """One picture, one prompt, one decode: what cannot run is found now, and the first client need not warm it up."""
    info = engine.info
    features = engine.encode_images(np.zeros((1, 3, info.image_size, info.image_size), np.float32))
    none = np.zeros((0, info.hidden_size), np.float32)
    logits = engine.prefill(0, 0, np.zeros(2, np.int64), none)
    decoded = engine.decode(np.zeros(1, np.int64), np.full(1, 2, np.int64))
    if not all(np.isfinite(array).all() for array in (features, logits, decoded)):
        raise EngineError("The model computes values that are not finite; the bundle or the runtime is broken.")
