"""The ONNX Runtime engine, on the CPU or on CUDA. Knows ONNX Runtime's binding, nothing of how graphs were written.

The KV cache is one buffer per layer and side, `[slots, kv_heads, max_length, head_dim]`. Slots are its leading
dimension, so "slots 0..n-1" and "slot s alone" are both contiguous pieces of it: each call binds a pointer into the
buffer, as past and as present, and the runtime updates it in place.
"""

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgevlm_engines.bundle import DECODER, EMBEDDING, VISION, Bundle
from edgevlm_engines.engine import (
    IMAGE_TOKEN,
    EngineInfo,
    Floats,
    Segment,
    Tokens,
    check_decode,
    check_move,
    check_prefill,
    check_restore,
    check_save,
)
from edgevlm_engines.errors import CudaError, EngineLoadError
from edgevlm_engines.kv_cache import Cache, Copied, CpuCache
from edgevlm_engines.kv_cache import Shape as CacheShape
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.memory_plan import CHUNK, position_bytes
from edgevlm_engines.names import Provider

log = logging.getLogger(__name__)

PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

PROBED_ROWS = 8

ENCODER_NICENESS = 3
"""Half the weight of a decoding thread: measured in `LOG.md` as what running answers and pictures both bear."""


class OrtEngine:
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
        self._encoder = _Encoder(bundle, provider, threads)
        # activations that are rounded with one scale per call would make pictures depend on their neighbours
        self._one_picture_a_call = manifest.vision_precision == "int8"
        session = _session(bundle, DECODER, provider, threads)
        self._embedding: NDArray[np.float16] = np.load(bundle.path(EMBEDDING), mmap_mode="r", allow_pickle=False)
        multiple = _slot_multiple(_Decoder(session, manifest, PROBED_ROWS, 8, provider), manifest.decoder.hidden_size)
        self._multiple = multiple
        padded = -(-slots // multiple) * multiple
        self._decoder = _Decoder(session, manifest, padded, max_length, provider)
        self._written = np.zeros(padded, np.int64)
        self._info = EngineInfo(
            name="ort",
            device=provider,
            precision=manifest.precision,
            slots=slots,
            max_length=max_length,
            max_chunk=min(CHUNK, max_length),
            position_bytes=position_bytes(manifest),
            vocab_size=manifest.decoder.vocab_size,
            hidden_size=manifest.decoder.hidden_size,
            image_size=manifest.preprocessing.size,
            image_tokens=manifest.vision.image_tokens,
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    def encode_images(self, pixels: Floats) -> Floats:
        if self._one_picture_a_call and len(pixels) > 1:
            return np.concatenate([self.encode_images(picture[np.newaxis]) for picture in pixels])
        return self._encoder.run(pixels)

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        check_prefill(self._info, slot, start, tokens, features)
        is_image = tokens == IMAGE_TOKEN
        hidden = self._embedding[np.where(is_image, 0, tokens)].astype(self._decoder.dtype)
        hidden[is_image] = features
        end = start + len(tokens)
        logits: Floats = self._decoder.run(slot, hidden[np.newaxis], np.array([end - 1]))[0]
        self._written[slot] = end
        return logits

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        check_decode(self._info, tokens, lengths)
        count, idle = len(tokens), -len(tokens) % self._multiple
        if idle:
            tokens, lengths = np.pad(tokens, (0, idle)), np.append(lengths, self._idle_positions(count, idle))
        hidden = self._embedding[tokens].astype(self._decoder.dtype)
        logits = self._decoder.run(0, hidden[:, np.newaxis], lengths)
        self._written[:count] = lengths[:count] + 1
        return logits[:count]

    def move_slot(self, source: int, target: int, length: int) -> None:
        check_move(self._info, source, target, length)
        self._decoder.cache.move_slot(source, target, length)
        self._written[target] = length

    def save(self, slot: int, start: int, stop: int) -> Segment:
        check_save(self._info, slot, start, stop)
        return self._decoder.cache.copy_out(slot, start, stop)

    def restore(self, slot: int, segment: Segment, length: int) -> None:
        check_restore(self._info, slot, segment, length)
        assert isinstance(segment, Copied)
        self._decoder.cache.copy_in(slot, segment, length)
        self._written[slot] = segment.start + length

    def close(self) -> None:
        self._decoder.close()
        self._encoder.close()

    def _idle_positions(self, first: int, count: int) -> Tokens:
        """Where slots that do not decode may be written to: behind what was last written there."""
        written = self._written[first : first + count]
        return np.where(written < self._info.max_length, written, 0)


class _Encoder:
    """The vision encoder's session and the one thread that runs it, beside decoding and behind it.

    A running answer's next token comes before a picture: the thread has a lower priority, the threads that the
    runtime starts from it inherit that, and none of them spins while it waits.
    """

    def __init__(self, bundle: Bundle, provider: Provider, threads: int) -> None:
        self._thread = ThreadPoolExecutor(1, "encoder", initializer=_give_way)
        loading = self._thread.submit(_session, bundle, VISION, provider, threads, spinning=False)
        try:
            self._session: onnxruntime.InferenceSession | None = loading.result()
        except BaseException:
            self._thread.shutdown()
            raise

    def run(self, pixels: Floats) -> Floats:
        """`[n, 3, image_size, image_size]` -> `[n, image_tokens, hidden_size]`."""
        assert self._session is not None, "closed"
        features: Floats = self._thread.submit(self._session.run, ["features"], {"pixels": pixels}).result()[0]
        return features

    def close(self) -> None:
        self._thread.shutdown()
        self._session = None


class _Decoder:
    """The decoder's session, its cache, and one prepared binding for each stretch of slots that was run."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        manifest: Manifest,
        slots: int,
        max_length: int,
        provider: Provider,
    ) -> None:
        shape = manifest.decoder
        self.dtype = np.dtype(np.float16 if manifest.precision == "fp16" else np.float32)
        cache_shape = (slots, shape.kv_heads, max_length, shape.head_dim)
        self.cache = _cache(provider, 2 * shape.layers, cache_shape, self.dtype)
        self._session: onnxruntime.InferenceSession | None = session
        self._provider = provider
        self._vocab_size = shape.vocab_size
        names = [f"{side}.{layer}" for layer in range(shape.layers) for side in ("key", "value")]
        self._names = [(f"past_{name}", f"present_{name}") for name in names]
        self._bindings: dict[tuple[int, int], Any] = {}

    def run(self, first_slot: int, hidden: NDArray[Any], last_position: NDArray[np.integer[Any]]) -> Floats:
        """Advance slots `first_slot..first_slot+n-1`: `[n, s, hidden_size]`, `[n]` -> logits `[n, vocab_size]`."""
        assert self._session is not None, "closed"
        binding = self._binding(first_slot, len(hidden))
        last = last_position.astype(np.int32)
        total_length = np.array(last.max() + 1, np.int32)
        # bound by address, which keeps nothing alive
        logits: Floats = np.empty((len(hidden), self._vocab_size), np.float32)
        binding.bind_cpu_input("hidden", hidden)
        binding.bind_cpu_input("last_position", last)
        binding.bind_cpu_input("total_length", total_length)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits

    def close(self) -> None:
        self._bindings.clear()
        self._session = None
        self.cache.free()

    def _binding(self, first_slot: int, count: int) -> Any:
        """With the cache of these slots bound: a hundred pointers that never change."""
        assert self._session is not None, "closed"
        if (first_slot, count) not in self._bindings:
            binding = self._session.io_binding()
            shape = (count, *self.cache.shape[1:])
            for buffer, (past, present) in enumerate(self._names):
                pointer = self.cache.pointer(buffer, first_slot)
                binding.bind_input(past, self._provider, 0, self.dtype, shape, pointer)
                binding.bind_output(present, self._provider, 0, self.dtype, shape, pointer)
            self._bindings[first_slot, count] = binding
        return self._bindings[first_slot, count]


def _cache(provider: Provider, count: int, shape: CacheShape, dtype: np.dtype[Any]) -> Cache:
    if provider == "cpu":
        return CpuCache(count, shape, dtype)
    try:
        from edgevlm_engines.cuda.kv_cache import CudaCache
    except ImportError:
        raise EngineLoadError("CUDA's bindings are not installed; install the 'gpu' extra of edgevlm.") from None
    try:
        return CudaCache(count, shape, dtype)
    except CudaError as error:
        raise EngineLoadError(f"The KV cache cannot be allocated: {error}") from None


def _slot_multiple(decoder: _Decoder, hidden_size: int) -> int:
    """The smallest multiple of slots whose results do not depend on their number.

    On some processors quantised products round differently for a slot alone, or for the last of an odd number.
    """
    random = np.random.default_rng(0)
    hidden = random.standard_normal((PROBED_ROWS, 1, hidden_size)).astype(decoder.dtype)
    counts = (1, 2, 3, 4, PROBED_ROWS)
    logits = {count: decoder.run(0, hidden[:count], np.zeros(count, np.int64)) for count in counts}
    decoder.close()
    agree = {count for count in counts if np.array_equal(logits[count], logits[PROBED_ROWS][:count])}
    if 4 not in agree:
        log.warning("Answers may depend on what else runs: this device rounds differently for 4 slots and for 8.")
    if agree == set(counts):
        return 1
    return 2 if 2 in agree else 4


def _give_way() -> None:
    """On Linux niceness belongs to a thread; elsewhere it would be the whole process's."""
    if sys.platform == "linux":
        os.nice(ENCODER_NICENESS)


def _session(
    bundle: Bundle, name: str, provider: Provider, threads: int, *, spinning: bool = True
) -> onnxruntime.InferenceSession:
    wanted = PROVIDERS[provider]
    if wanted not in onnxruntime.get_available_providers():
        raise EngineLoadError(
            f"This ONNX Runtime has no {wanted}; install the 'gpu' extra of edgevlm, or choose --provider cpu."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    try:
        session = onnxruntime.InferenceSession(str(bundle.path(name)), options, providers=[wanted])
    except Exception as error:
        raise EngineLoadError(f"ONNX Runtime cannot load {bundle.path(name)}: {error}") from error
    # without its libraries the CUDA provider is dropped with no more than a warning
    if wanted not in session.get_providers():
        raise EngineLoadError(f"ONNX Runtime could not start its {wanted}; are the CUDA libraries installed?")
    return session
