"""Random checkpoints: the published layout, different weights everywhere, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import IMAGE_TOKEN, load_engine, open_bundle
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.checkpoint.safetensors_reader import read_safetensors
from sentencepiece import SentencePieceProcessor

from benchmarks import random_checkpoint
from benchmarks.random_checkpoint import WEIGHTS, write_checkpoint
from benchmarks.random_tensors import all_tensors
from benchmarks.random_tokenizer import tokenizer_model
from benchmarks.shapes import SHAPES
from tests.prefill import prefill


@pytest.mark.parametrize(("shape", "tensors", "gigabytes"), [("1.7B", 616, 3.348), ("3B", 688, 6.029)])
def test_the_real_shapes_have_the_published_files_tensors_and_sizes(
    shape: str, tensors: int, gigabytes: float
) -> None:
    sizes = [tensor.size for tensor in all_tensors(SHAPES[shape])]
    assert len(sizes) == tensors
    assert sum(sizes) / 1e9 == pytest.approx(gigabytes, abs=0.001)


def test_no_two_tensors_are_equal(tiny_checkpoint: Path) -> None:
    values = [tensor.read().tobytes() for tensor in read_safetensors(tiny_checkpoint / WEIGHTS)]
    assert len(set(values)) == len(values) == len(list(all_tensors(SHAPES["tiny"])))


def test_a_seed_decides_all_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_checkpoint(SHAPES["tiny"], tmp_path / str(seed), seed, Progress())
    same, other = ((tmp_path / str(seed) / WEIGHTS).read_bytes() for seed in (0, 1))
    assert same == (tiny_checkpoint / WEIGHTS).read_bytes()
    assert len(other) == len(same) and other != same


def test_what_an_engine_computes_with_them_is_finite_and_near_one(tiny_bundle: Path) -> None:
    engine = load_engine("ort", open_bundle(tiny_bundle), slots=1, threads=1)
    size = engine.info.image_size
    pixels = np.random.default_rng(0).standard_normal((1, 3, size, size), dtype=np.float32)
    features = engine.encode_images(pixels)[0]
    tokens = np.append(np.full(len(features), IMAGE_TOKEN), [1, 300, 301])
    logits = prefill(engine, 0, tokens, features)
    engine.close()
    assert features.shape == (144, 128) and np.isfinite(features).all()
    assert 0.3 < logits.std() < 3


def test_the_number_of_layers_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["random_checkpoint", "tiny", str(tmp_path / "deep"), "--layers", "3"])
    random_checkpoint.main()
    names = {tensor.name for tensor in read_safetensors(tmp_path / "deep" / WEIGHTS)}
    assert "model.layers.2.mlp.up_proj.weight" in names and "model.layers.3.mlp.up_proj.weight" not in names
    assert "3 decoder layers, seed 0" in capsys.readouterr().out


@pytest.mark.parametrize("size", [512, 32_000])
def test_any_text_goes_through_the_vocabulary(size: int) -> None:
    pieces = SentencePieceProcessor(model_proto=tokenizer_model(size))
    text = "What does the display read? Größe 1.5 \N{DEGREE SIGN}C"
    assert pieces.vocab_size() == size
    assert pieces.decode(pieces.encode(text)) == text
    assert [pieces.id_to_piece(token) for token in range(3)] == ["<unk>", "<s>", "</s>"]
