"""The GGUF files hold the checkpoint's values, in the order and under the names that llama.cpp expects."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.checkpoint.safetensors_reader import read_safetensors
from numpy.typing import NDArray

from benchmarks.gguf_files import Quantisation, write_decoder, write_projector
from benchmarks.random_checkpoint import WEIGHTS

Tensors = dict[str, NDArray[Any]]

LARGEST_ERROR: dict[Quantisation, float] = {"F16": 0, "Q8_0": 0.002, "Q4_0": 0.04}
"""Of values with a deviation of 0.09, half a step of a block of 32."""


@pytest.fixture(scope="module")
def stored(tiny_checkpoint: Path) -> Tensors:
    return {tensor.name: tensor.read().astype(np.float32) for tensor in read_safetensors(tiny_checkpoint / WEIGHTS)}


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Values and settings of a file."""
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    return tensors, {name: field.contents() for name, field in reader.fields.items()}


@pytest.mark.parametrize("quantisation", LARGEST_ERROR)
def test_the_decoder_is_the_checkpoints(
    tiny_checkpoint: Path, stored: Tensors, tmp_path: Path, quantisation: Quantisation
) -> None:
    write_decoder(tiny_checkpoint, tmp_path / "decoder.gguf", quantisation, Progress())
    tensors, settings = read(tmp_path / "decoder.gguf")
    assert len(tensors) == 3 + 9 * 2
    for ours, theirs in (
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
        ("blk.0.attn_output.weight", "model.layers.0.self_attn.o_proj.weight"),
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output.weight", "lm_head.weight"),
    ):
        assert np.abs(tensors[ours] - stored[theirs]).max() <= LARGEST_ERROR[quantisation], ours
    assert (tensors["output_norm.weight"] == stored["model.norm.weight"]).all()
    assert (settings["llama.block_count"], settings["llama.attention.head_count"]) == (2, 2)
    assert len(settings["tokenizer.ggml.tokens"]) == 512


def test_rotated_pairs_become_neighbours(tiny_checkpoint: Path, stored: Tensors, tmp_path: Path) -> None:
    write_decoder(tiny_checkpoint, tmp_path / "decoder.gguf", "F16", Progress())
    tensors, _ = read(tmp_path / "decoder.gguf")
    published = stored["model.layers.0.self_attn.q_proj.weight"]
    # two heads of 64: the first half of a head moves to its even rows, the second half to its odd ones
    for row, origin in ((0, 0), (1, 32), (2, 1), (63, 63), (64, 64), (65, 96)):
        assert (tensors["blk.0.attn_q.weight"][row] == published[origin]).all()
    assert (tensors["blk.0.attn_v.weight"] == stored["model.layers.0.self_attn.v_proj.weight"]).all()


def test_the_projector_file_has_the_layers_that_are_run(
    tiny_checkpoint: Path, stored: Tensors, tmp_path: Path
) -> None:
    write_projector(tiny_checkpoint, tmp_path / "mmproj.gguf", Progress())
    tensors, settings = read(tmp_path / "mmproj.gguf")
    assert settings["clip.projector_type"] == "ldpv2"
    assert (settings["clip.vision.block_count"], settings["clip.vision.feature_layer"]) == (2, [2])
    assert "v.blk.1.ffn_up.weight" in tensors
    assert not [name for name in tensors if name.startswith(("v.blk.2.", "v.post_ln"))]
    for ours, theirs in (
        ("v.blk.1.ffn_up.weight", "model.vision_tower.vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight"),
        ("v.patch_embd.weight", "model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.weight"),
        ("mm.model.mlp.2.bias", "model.mm_projector.mlp.mlp.2.bias"),
        ("mm.model.peg.0.weight", "model.mm_projector.peg.peg.0.weight"),
    ):
        assert (tensors[ours] == stored[theirs]).all(), ours
