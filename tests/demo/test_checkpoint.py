"""The committed checkpoint has the published layout. Read without torch: only names and sizes of its pickle."""

import json
import pickletools
import zipfile
from typing import Any

import pytest
from edgevlm_demo import checkpoint_folder, clip_folder
from sentencepiece import SentencePieceProcessor

TOWER = "model.vision_tower.vision_tower.vision_model."
LIMIT = 6_000_000  # bytes: the checkpoint is part of the package


def read(folder: str, name: str) -> dict[str, Any]:
    path = (checkpoint_folder() if folder == "checkpoint" else clip_folder()) / name
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def expected_sizes() -> dict[str, int]:
    """Tensor names and element counts that the two config files promise."""
    config, vision = read("checkpoint", "config.json"), read("clip", "config.json")["vision_config"]
    h, i, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    w, m, p = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    sizes = {"model.embed_tokens.weight": v * h, "model.norm.weight": h, "lm_head.weight": v * h}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        sizes |= {f"{at}self_attn.{x}_proj.weight": h * h for x in "qkvo"}
        sizes |= {f"{at}mlp.{x}_proj.weight": h * i for x in ("gate", "up", "down")}
        sizes |= {f"{at}{x}_layernorm.weight": h for x in ("input", "post_attention")}
    sizes |= {"model.mm_projector.mlp.mlp.0.weight": w * h, "model.mm_projector.mlp.mlp.0.bias": h}
    sizes |= {"model.mm_projector.mlp.mlp.2.weight": h * h, "model.mm_projector.mlp.mlp.2.bias": h}
    sizes |= {"model.mm_projector.peg.peg.0.weight": 9 * h, "model.mm_projector.peg.peg.0.bias": h}
    positions = (vision["image_size"] // p) ** 2 + 1
    sizes |= {f"{TOWER}embeddings.class_embedding": w, f"{TOWER}embeddings.patch_embedding.weight": w * 3 * p * p}
    sizes[f"{TOWER}embeddings.position_embedding.weight"] = positions * w
    for norm in ("pre_layrnorm", "post_layernorm"):
        sizes |= {f"{TOWER}{norm}.weight": w, f"{TOWER}{norm}.bias": w}
    for layer in range(vision["num_hidden_layers"]):
        at = f"{TOWER}encoder.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            sizes |= {f"{at}self_attn.{part}.weight": w * w, f"{at}self_attn.{part}.bias": w}
        for part, out in (("fc1", m), ("fc2", w)):
            sizes |= {f"{at}mlp.{part}.weight": w * m, f"{at}mlp.{part}.bias": out}
        for part in ("layer_norm1", "layer_norm2"):
            sizes |= {f"{at}{part}.weight": w, f"{at}{part}.bias": w}
    return sizes


@pytest.fixture(scope="module")
def archive() -> dict[str, bytes]:
    with zipfile.ZipFile(checkpoint_folder() / "pytorch_model.bin") as file:
        return {name.split("/", 1)[1]: file.read(name) for name in file.namelist()}


def test_tensor_names_are_the_published_ones(archive: dict[str, bytes]) -> None:
    opcodes = pickletools.genops(archive["data.pkl"])
    names = [arg for opcode, arg, _ in opcodes if "UNICODE" in opcode.name and str(arg).startswith(("model.", "lm_"))]
    assert len(names) == len(set(names))
    assert set(names) == set(expected_sizes())


def test_the_pickle_imports_tensor_records_only(archive: dict[str, bytes]) -> None:
    imported = {arg for opcode, arg, _ in pickletools.genops(archive["data.pkl"]) if opcode.name == "GLOBAL"}
    assert imported == {"torch._utils _rebuild_tensor_v2", "torch HalfStorage", "collections OrderedDict"}


def test_every_tensor_is_stored_once_in_float16(archive: dict[str, bytes]) -> None:
    stored = sum(len(data) for name, data in archive.items() if name.startswith("data/"))
    assert stored == 2 * sum(expected_sizes().values())


def test_it_is_small_enough_to_ship() -> None:
    files = [*checkpoint_folder().iterdir(), *clip_folder().iterdir()]
    assert sum(file.stat().st_size for file in files) < LIMIT


def test_the_published_files_and_our_own_are_there_and_no_other() -> None:
    names = {file.name for file in checkpoint_folder().iterdir()}
    json_files = {"config.json", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json"}
    assert names == {"pytorch_model.bin", "tokenizer.model", "edgevlm.json", *json_files}
    assert {file.name for file in clip_folder().iterdir()} == {"config.json", "preprocessor_config.json"}


def test_configs_describe_mobilevlm_v2() -> None:
    config, clip = read("checkpoint", "config.json"), read("clip", "config.json")
    assert config["model_type"] == "mobilevlm"
    assert config["mm_projector_type"] == "ldpnetv2"
    assert config["mm_vision_select_layer"] == -2
    assert config["mm_hidden_size"] == clip["vision_config"]["hidden_size"]
    # LDPv2 pools to 12 x 12, which is the identity on this grid
    assert clip["vision_config"]["image_size"] == 12 * clip["vision_config"]["patch_size"]
    assert read("clip", "preprocessor_config.json")["size"] == clip["vision_config"]["image_size"]


def test_the_vocabulary_fits_the_model() -> None:
    pieces = SentencePieceProcessor(model_file=str(checkpoint_folder() / "tokenizer.model"))
    assert pieces.vocab_size() == read("checkpoint", "config.json")["vocab_size"]
    assert (pieces.unk_id(), pieces.bos_id(), pieces.eos_id(), pieces.pad_id()) == (0, 1, 2, -1)
    assert read("checkpoint", "tokenizer_config.json")["legacy"] is True
