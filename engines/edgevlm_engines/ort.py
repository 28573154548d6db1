"""The ONNX Runtime engine, on the CPU or on CUDA. Knows ONNX Runtime's binding, nothing of how graphs were written.

The KV cache is one buffer per layer and side, `[rows, kv_heads, max_length, head_dim]`. Rows are its leading
dimension, so "rows 0..n-1" and "row r alone" are both contiguous pieces of it: each call binds a pointer into the
buffer, as past and as present, and the runtime updates it in place.
"""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgevlm_engines.boundary import (
    IMAGE_TOKEN,
    EngineInfo,
    Floats,
    Tokens,
    check_decode,
    check_move,
    check_prefill,
)
from edgevlm_engines.bundle import DECODER, EMBEDDING, VISION, Bundle
from edgevlm_engines.errors import EngineLoadError
from edgevlm_engines.loading import Provider
from edgevlm_engines.memory import Cache, CpuCache, CudaCache

PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

MAX_CHUNK = 256
"""Positions in one prefill call: short enough not to hold up other rows' next token, long enough to be efficient."""


class OrtEngine:
    """Runs the `ort` flavour of a bundle. `threads` 0 lets the runtime take one per physical core."""

    def __init__(
        self, bundle: Bundle, *, rows: int, max_length: int, provider: Provider = "cpu", threads: int = 0
    ) -> None:
        manifest = bundle.manifest
        if provider == "cuda" and manifest.precision != "fp16":
            raise EngineLoadError(
                f"This bundle is {manifest.precision}; on CUDA, attention over the cache exists for fp16 alone: "
                "export it with --precision fp16."
            )
        self._provider = provider
        self._dtype = np.dtype(np.float16 if manifest.precision == "fp16" else np.float32)
        self._sessions = {name: _session(bundle, name, provider, threads) for name in (VISION, DECODER)}
        self._embedding: NDArray[np.float16] = np.load(bundle.path(EMBEDDING), mmap_mode="r", allow_pickle=False)
        shape = (rows, manifest.decoder.kv_heads, max_length, manifest.decoder.head_dim)
        self._cache: Cache = (CpuCache if provider == "cpu" else CudaCache)(
            2 * manifest.decoder.layers, shape, self._dtype
        )
        names = [f"{side}.{layer}" for layer in range(manifest.decoder.layers) for side in ("key", "value")]
        self._cache_names = [(f"past_{name}", f"present_{name}") for name in names]
        self._info = EngineInfo(
            name="ort",
            device=provider,
            precision=manifest.precision,
            rows=rows,
            max_length=max_length,
            max_chunk=min(MAX_CHUNK, max_length),
            vocab_size=manifest.decoder.vocab_size,
            hidden_size=manifest.decoder.hidden_size,
            image_size=manifest.preprocessing.size,
            image_tokens=manifest.vision.image_tokens,
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    def encode_images(self, pixels: Floats) -> Floats:
        features: Floats = self._sessions[VISION].run(["features"], {"pixels": pixels})[0]
        return features

    def prefill(self, row: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        check_prefill(self._info, row, start, tokens, features)
        is_image = tokens == IMAGE_TOKEN
        hidden = self._embedding[np.where(is_image, 0, tokens)].astype(self._dtype)
        hidden[is_image] = features
        last = np.array([start + len(tokens) - 1], np.int32)
        logits: Floats = self._run(hidden[np.newaxis], last, first_row=row)[0]
        return logits

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        check_decode(self._info, tokens, lengths)
        hidden = self._embedding[tokens].astype(self._dtype)
        return self._run(hidden[:, np.newaxis], lengths.astype(np.int32), first_row=0)

    def move_row(self, source: int, target: int, length: int) -> None:
        check_move(self._info, source, target, length)
        self._cache.move_row(source, target, length)

    def close(self) -> None:
        self._cache.free()
        self._sessions.clear()

    def _run(self, hidden: NDArray[Any], last_position: NDArray[np.int32], *, first_row: int) -> Floats:
        """One call of the decoder over `len(hidden)` rows from `first_row` on."""
        decoder = self._sessions[DECODER]
        binding = decoder.io_binding()
        total_length = np.array(last_position.max() + 1, np.int32)
        # bound by address, which keeps nothing alive
        logits: Floats = np.empty((len(hidden), self._info.vocab_size), np.float32)
        binding.bind_cpu_input("hidden", hidden)
        binding.bind_cpu_input("last_position", last_position)
        binding.bind_cpu_input("total_length", total_length)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        shape = (len(hidden), *self._cache.shape[1:])
        for buffer, (past, present) in enumerate(self._cache_names):
            pointer = self._cache.pointer(buffer, first_row)
            binding.bind_input(past, self._provider, 0, self._dtype, shape, pointer)
            binding.bind_output(present, self._provider, 0, self._dtype, shape, pointer)
        decoder.run_with_iobinding(binding)
        return logits


def _session(bundle: Bundle, name: str, provider: Provider, threads: int) -> onnxruntime.InferenceSession:
    wanted = PROVIDERS[provider]
    if wanted not in onnxruntime.get_available_providers():
        raise EngineLoadError(
            f"This ONNX Runtime has no {wanted}; install the 'gpu' extra of edgevlm, or choose --provider cpu."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(bundle.path(name)), options, providers=[wanted])
    except Exception as error:
        raise EngineLoadError(f"ONNX Runtime cannot load {bundle.path(name)}: {error}") from error
    # without its libraries the CUDA provider is dropped with no more than a warning
    if wanted not in session.get_providers():
        raise EngineLoadError(f"ONNX Runtime could not start its {wanted}; are the CUDA libraries installed?")
    return session
