"""A checkpoint with LDPv2 as the two GGUF files that llama.cpp runs: the decoder, and the tower with the projector.

The same values as in the bundle made of it, so both engines compute the same model. llama.cpp's own converters do not
read this layout any more. At most one tensor is in memory.
"""

import os
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gguf
import numpy as np
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.checkpoint.config import ModelConfig, load_config
from edgevlm_export.checkpoint.input_config import load_preprocessing
from edgevlm_export.checkpoint.safetensors_reader import SafeTensor, read_safetensors
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from benchmarks.random_checkpoint import CLIP, WEIGHTS

Quantisation = Literal["F16", "Q8_0", "Q4_0"]
Array = NDArray[Any]

FILE_TYPES: dict[Quantisation, gguf.LlamaFileType] = {
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}
TOWER = "model.vision_tower."
SEEING = (TOWER, "model.mm_projector.")


class Entry(NamedTuple):
    """One tensor of a GGUF file: where its values come from, how they are rearranged and stored."""

    name: str
    source: SafeTensor
    kind: gguf.GGMLQuantizationType
    arrange: Callable[[Array], Array]

    @property
    def size(self) -> int:
        block, size = gguf.GGML_QUANT_SIZES[self.kind]
        return prod(self.source.shape) // block * size

    def values(self) -> Array:
        stored: Array = gguf.quantize(self.arrange(self.source.read()), self.kind)
        return stored


def write_decoder(checkpoint: Path, path: Path, quantisation: Quantisation, progress: Progress) -> None:
    """The LLaMA decoder and its vocabulary; every matrix in `quantisation`, embeddings and head too."""
    config = load_config(checkpoint, checkpoint / CLIP)
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "llama")
    _describe_decoder(writer, config, FILE_TYPES[quantisation])
    _describe_vocabulary(writer, config, checkpoint / "tokenizer.model")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.layers)
    kind = gguf.GGMLQuantizationType[quantisation]
    tensors = [tensor for tensor in read_safetensors(checkpoint / WEIGHTS) if not tensor.name.startswith(SEEING)]
    entries = [_entry(names, tensor.name, tensor, kind, _arrangement(tensor, config)) for tensor in tensors]
    _write(writer, entries, progress)
    os.replace(part, path)


def write_projector(checkpoint: Path, path: Path, progress: Progress) -> None:
    """The tower's layers that are run, and the projector, in F16: llama.cpp's `mmproj`."""
    config = load_config(checkpoint, checkpoint / CLIP)
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "clip")
    _describe_projector(writer, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, config.vision.layers)
    kind = gguf.GGMLQuantizationType.F16
    entries = [
        _entry(names, tensor.name.removeprefix("model.vision_tower."), tensor, kind, _as_stored)
        for tensor in read_safetensors(checkpoint / WEIGHTS)
        if tensor.name.startswith(SEEING) and not _is_unused(tensor.name, config)
    ]
    _write(writer, entries, progress)
    os.replace(part, path)


def _describe_decoder(writer: gguf.GGUFWriter, config: ModelConfig, file_type: gguf.LlamaFileType) -> None:
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _describe_vocabulary(writer: gguf.GGUFWriter, config: ModelConfig, tokenizer: Path) -> None:
    pieces = SentencePieceProcessor(model_file=str(tokenizer))
    ids = range(config.vocab_size)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.id_to_piece(token) for token in ids])
    writer.add_token_scores([pieces.get_score(token) for token in ids])
    writer.add_token_types([_piece_type(pieces, token) for token in ids])
    writer.add_bos_token_id(config.bos_id)
    writer.add_eos_token_id(config.eos_id)
    writer.add_unk_token_id(pieces.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def _piece_type(pieces: SentencePieceProcessor, token: int) -> gguf.TokenType:
    if pieces.is_byte(token):
        return gguf.TokenType.BYTE
    if pieces.is_control(token):
        return gguf.TokenType.CONTROL
    return gguf.TokenType.UNKNOWN if pieces.is_unknown(token) else gguf.TokenType.NORMAL


def _describe_projector(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    vision, pixels = config.vision, load_preprocessing(None, config.vision.image_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("ldpv2")
    writer.add_vision_use_gelu(vision.hidden_act == "gelu")
    writer.add_vision_image_size(vision.image_size)
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_projection_dim(config.hidden_size)
    writer.add_vision_head_count(vision.heads)
    writer.add_vision_attention_layernorm_eps(vision.layer_norm_eps)
    writer.add_vision_block_count(vision.layers_run)
    # without it llama.cpp leaves the last of the layers out, and with that a part of the work
    writer.add_array("clip.vision.feature_layer", [vision.layers_run])
    writer.add_vision_image_mean(pixels.mean)
    writer.add_vision_image_std(pixels.std)


def _is_unused(name: str, config: ModelConfig) -> bool:
    layers = range(config.vision.layers_run, config.vision.layers)
    return "post_layernorm" in name or any(f".encoder.layers.{index}." in name for index in layers)


def _entry(
    names: gguf.TensorNameMap,
    name: str,
    tensor: SafeTensor,
    kind: gguf.GGMLQuantizationType,
    arrange: Callable[[Array], Array],
) -> Entry:
    new_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if new_name is None:
        raise ValueError(f"{tensor.name} has no name in GGUF")
    matrix = len(tensor.shape) > 1
    return Entry(new_name, tensor, kind if matrix else gguf.GGMLQuantizationType.F32, arrange)


def _arrangement(tensor: SafeTensor, config: ModelConfig) -> Callable[[Array], Array]:
    if tensor.name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config.heads if "q_proj" in tensor.name else config.kv_heads
        return lambda values: _interleaved(values, heads)
    return _as_stored


def _interleaved(values: Array, heads: int) -> Array:
    """Rows of each head in the order 0, d/2, 1, d/2+1, ...: llama.cpp rotates neighbours, LLaMA rotates halves."""
    halves = values.reshape(heads, 2, -1, values.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)


def _as_stored(values: Array) -> Array:
    return values


def _write(writer: gguf.GGUFWriter, entries: list[Entry], progress: Progress) -> None:
    progress.start(sum(entry.size for entry in entries))
    for entry in entries:
        shape, dtype = entry.source.shape, np.dtype(np.float32)
        writer.add_tensor_info(entry.name, shape, dtype, entry.size, raw_dtype=entry.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for entry in entries:
        writer.write_tensor_data(entry.values())
        progress.advance(entry.size)
    writer.close()
    progress.finish()
