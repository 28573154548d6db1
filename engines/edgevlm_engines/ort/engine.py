"""The ONNX Runtime engine, on the CPU or on CUDA: tokens, slots and steps. Knows nothing of how graphs are made."""

from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgevlm_engines.bundle import DECODER, Bundle
from edgevlm_engines.checked_engine import CheckedEngine
from edgevlm_engines.embedding import embedded, open_embedding
from edgevlm_engines.engine import EngineInfo, Floats, Segment, Tokens
from edgevlm_engines.errors import EngineLoadError
from edgevlm_engines.kv_cache import Copied
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.memory_plan import CHUNK, position_bytes
from edgevlm_engines.names import Provider
from edgevlm_engines.ort.decoder import OrtDecoder
from edgevlm_engines.ort.encoder import OrtEncoder
from edgevlm_engines.ort.invariance import invariant_sizes
from edgevlm_engines.ort.own_decode import own_decode
from edgevlm_engines.ort.session import open_session
from edgevlm_engines.ort.tensors import check_positions, check_tensors, decoder_tensors

if TYPE_CHECKING:
    from edgevlm_engines.cuda.decode_model import DecodeModel

TRIED_LENGTH: dict[Provider, int] = {"cpu": 40, "cuda": 640}
"""Positions of a slot while sizes of step are tried. On a CPU attention is computed slot by slot, and filling long
slots takes time; a GPU divides the work by the length of the longest slot, from some hundreds on."""


class OrtEngine(CheckedEngine):
    """Runs the `ort` flavour of a bundle. `threads` 0 lets the runtime take one per physical core."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        slots: int,
        max_length: int,
        provider: Provider = "cpu",
        threads: int = 0,
    ) -> None:
        manifest = bundle.manifest
        _check_manifest(manifest, provider)
        info = EngineInfo.of(
            manifest,
            name="ort",
            device=provider,
            precision=manifest.precision,
            slots=slots,
            max_length=max_length,
            chunk=CHUNK[provider],
            position_bytes=position_bytes(manifest),
        )
        super().__init__(info)
        self._embedding = open_embedding(bundle)
        session = open_session(bundle, DECODER, provider, threads)
        check_tensors(session, decoder_tensors(manifest), bundle.path(DECODER))
        check_positions(bundle)
        self._encoder = OrtEncoder(bundle, provider, threads)

        def make(slots: int, length: int) -> OrtDecoder:
            return OrtDecoder(session, manifest, slots, length, provider)

        self._decoder, self._own, self._sizes = _steps(bundle, make, slots, max_length, provider)
        # positions in use: behind them, a slot that does not decode may be written to
        self._written = np.zeros(self._sizes[-1], np.int64)

    def close(self) -> None:
        if self._own is not None:
            self._own.free()
        self._decoder.close()
        self._encoder.close()

    def _encode_image(self, picture: Floats) -> Floats:
        return self._encoder.run(picture)

    def _prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        hidden = embedded(self._embedding, tokens, features, self._decoder.dtype)
        end = start + len(tokens)
        logits: Floats = self._decoder.run(slot, hidden[np.newaxis], np.array([end - 1]))[0]
        self._written[slot] = end
        return logits

    def _decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        if self._own is not None:
            return self._own.decode(self._embedding[tokens], lengths)
        count = len(tokens)
        size = self._sizes[bisect_left(self._sizes, count)]
        tokens = np.pad(tokens, (0, size - count))
        lengths = np.append(lengths, self._idle_positions(count, size))
        hidden = self._embedding[tokens].astype(self._decoder.dtype)
        logits = self._decoder.run(0, hidden[:, np.newaxis], lengths)
        self._written[:count] = lengths[:count] + 1
        return logits[:count]

    def _move_slot(self, source: int, target: int, length: int) -> None:
        self._decoder.cache.move_slot(source, target, length)
        self._written[target] = length

    def _save(self, slot: int, start: int, stop: int) -> Segment:
        return self._decoder.cache.copy_out(slot, start, stop)

    def _restore(self, slot: int, segment: Segment, length: int) -> None:
        assert isinstance(segment, Copied)
        self._decoder.cache.copy_in(slot, segment, length)
        self._written[slot] = segment.start + length

    def _idle_positions(self, first: int, stop: int) -> Tokens:
        """Where the slots that fill up a step may be written to: behind what was last written there."""
        written = self._written[first:stop]
        return np.where(written < self._info.max_length, written, 0)


class _Steps(NamedTuple):
    """What decodes: the decoder, kernels of our own if they take its place, sizes of step that are run."""

    decoder: OrtDecoder
    own: "DecodeModel | None"
    sizes: tuple[int, ...]


def _steps(
    bundle: Bundle, make: Callable[[int, int], OrtDecoder], slots: int, max_length: int, provider: Provider
) -> _Steps:
    """`make` makes a decoder with so many slots of such a length."""
    if provider == "cuda":
        # what kernels of our own need beside the cache is no reason to have less of that
        decoder = make(slots, max_length)
        if (own := own_decode(bundle, decoder.cache)) is not None:
            return _Steps(decoder, own, (slots,))
        decoder.close()
    tried_length = min(TRIED_LENGTH[provider], max_length)
    sizes = invariant_sizes(lambda slots: make(slots, tried_length), slots)
    return _Steps(make(sizes[-1], max_length), None, sizes)


def _check_manifest(manifest: Manifest, provider: Provider) -> None:
    """Raise `EngineLoadError` for a bundle that ONNX Runtime cannot run there."""
    if manifest.flavour != "ort":
        raise EngineLoadError(
            f"This bundle was made for {manifest.device} and runs on TensorRT alone; for ONNX Runtime, "
            "export the model with --device cpu or cuda."
        )
    if provider == "cuda" and manifest.precision != "fp16":
        raise EngineLoadError(
            f"This bundle is {manifest.precision}; on CUDA, attention over the cache exists for fp16 alone: "
            "export it with --device cuda."
        )
