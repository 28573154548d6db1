"""A loaded model and what belongs to it: engine, tokenizer, manifest. Knows no HTTP and no requests."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines import (
    TOKENIZER,
    About,
    Bundle,
    Engine,
    EngineError,
    Manifest,
    available_memory,
    engine_for,
    installed_memory,
    load_engine,
    open_bundle,
    provider_for,
    size_text,
)

from edgevlm_server.memory_budget import MemoryBudget
from edgevlm_server.self_test import self_test
from edgevlm_server.settings import Settings
from edgevlm_server.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

_MOST_SHOWN = 500
"""Characters of a runtime's error."""

QUIET_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that answers questions."""

    manifest: Manifest
    tokenizer: Tokenizer
    engine: Engine

    @property
    def about(self) -> About:
        """What its maker says of it."""
        return self.manifest.about


Prepare = Callable[[Bundle, int, int], None]
"""Makes what TensorRT needs to run a bundle with so many slots of so many positions. Raises `EngineError`."""


def load_model(
    folder: Path,
    settings: Settings,
    *,
    prepare: Prepare | None = None,
    name: str | None = None,
) -> Model:
    """Verify the bundle, plan its memory, load the engine and try it on a drawn picture.

    `prepare` is called before TensorRT is to load; `name` is what clients shall call the model, if not
    as its bundle does. The engine may have fewer slots than the settings ask for. Raises `EngineError` with one clear
    sentence.
    """
    bundle = open_bundle(folder, _told(folder))
    demand = MemoryBudget(bundle.manifest, settings, available_memory(), installed_memory()).plan().demand
    kind = engine_for(bundle.manifest, settings.engine)
    if kind == "trt" and prepare is not None:
        prepare(bundle, demand.slots, demand.max_length)
    with _in_one_sentence(folder):
        tokenizer = _tokenizer(bundle)
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
            self_test(engine, bundle.manifest)
        except BaseException:
            engine.close()
            raise
    manifest = bundle.manifest.model_copy(update={"model": name}) if name else bundle.manifest
    return Model(manifest, tokenizer, engine)


def _told(folder: Path) -> Callable[[int], None]:
    """Takes what was verified, and says from time to time how far that is: gigabytes may take minutes."""
    done, told = 0, time.monotonic()

    def progress(count: int) -> None:
        nonlocal done, told
        done += count
        if time.monotonic() - told >= QUIET_SECONDS:
            told = time.monotonic()
            log.info("Verifying %s: %s so far.", folder, size_text(done))

    return progress


@contextmanager
def _in_one_sentence(folder: Path) -> Iterator[None]:
    """A runtime has errors of its own for what a bundle should not hold; none of them is worth a new start."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        log.debug("The model cannot be run.", exc_info=True)
        what = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_SHOWN].rstrip(".")
        raise EngineError(f"{folder} cannot be run: {what}.") from error


def _tokenizer(bundle: Bundle) -> Tokenizer:
    """A vocabulary of another size would feed the model ids that it does not have."""
    path = bundle.path(TOKENIZER)
    try:
        tokenizer = Tokenizer(path)
    except RuntimeError:
        raise EngineError(f"{path} is not a SentencePiece model.") from None
    except ValueError:
        raise EngineError(f"{path} has a token that is neither a byte nor UTF-8; export the model again.") from None
    expected = bundle.manifest.decoder.vocab_size
    if tokenizer.vocab_size != expected:
        raise EngineError(
            f"{path} has {tokenizer.vocab_size} tokens, the model {expected}: they do not belong together."
        )
    return tokenizer
