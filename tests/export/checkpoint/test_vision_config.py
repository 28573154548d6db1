"""The vision tower's configuration, its preprocessing constants and the tokenizer's flag."""

from pathlib import Path
from typing import Any

import pytest
from edgevlm_export.checkpoint.config import VisionConfig, load_config
from edgevlm_export.checkpoint.input_config import load_preprocessing, tokenizer_is_legacy
from edgevlm_export.errors import ConfigError

from tests.export.checkpoint.configs import CLIP_FILE, CLIP_LARGE_336, CLIP_VISION, SMALL, write


def load_tower(folder: Path, tower: object, **model: Any) -> VisionConfig:
    return load_config(write(folder, SMALL | model), write(folder / "clip", tower)).vision


def test_tower_file_of_every_form(tmp_path: Path) -> None:
    alone = CLIP_VISION | {"model_type": "clip_vision_model"}
    old = {
        "model_type": "clip",
        "vision_config": CLIP_VISION | {"num_hidden_layers": 12},
        "vision_config_dict": CLIP_VISION,
    }
    for form in (CLIP_FILE, alone, old):
        assert load_tower(tmp_path, form) == CLIP_LARGE_336


def test_tower_defaults_are_those_of_clip(tmp_path: Path) -> None:
    base = {"model_type": "clip", "vision_config": {"image_size": 384}}
    vision = load_tower(tmp_path, base, mm_hidden_size=768)
    assert (vision.hidden_size, vision.layers, vision.heads, vision.intermediate_size) == (768, 12, 12, 3072)
    assert (vision.image_size, vision.patch_size, vision.grid) == (384, 32, 12)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 340),
        ("image_size", 224),  # 16 patches do not pool to 12
        ("image_size", [336, 336]),
        ("patch_size", {"height": 14}),
        ("num_attention_heads", 10),
        ("num_channels", 1),
        ("hidden_act", "gelu_new"),
        ("layer_norm_eps", "small"),
    ],
)
def test_unsupported_towers_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tower(tmp_path, {"model_type": "clip", "vision_config": CLIP_VISION | {key: value}})
    assert str(caught.value).startswith(f"{tmp_path / 'clip' / 'config.json'}: {key} is ")


@pytest.mark.parametrize(
    ("tower", "reason"),
    [
        ({"model_type": "siglip"}, "model_type"),
        ({"vision_config": {}}, "model_type"),
        ({"model_type": "clip"}, "vision_config"),
        ({"model_type": "clip", "vision_config": [1]}, "vision_config"),
    ],
)
def test_other_towers_are_refused(tmp_path: Path, tower: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_tower(tmp_path, tower)


MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"size": 336, "crop_size": 336, "resample": 3, "feature_extractor_type": "CLIPFeatureExtractor"},
        {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}, "rescale_factor": 1 / 255},
        {
            "do_convert_rgb": True,
            "rescale_factor": 0.00392156862745098,
            "image_mean": list(MEAN),
            "image_std": list(STD),
        },
    ],
)
def test_preprocessing_of_clip(tmp_path: Path, data: object) -> None:
    constants = load_preprocessing(write(tmp_path, data, "preprocessor_config.json"), 336)
    assert (constants.image_size, constants.mean, constants.std) == (336, MEAN, STD)


def test_preprocessing_without_a_file(tmp_path: Path) -> None:
    assert load_preprocessing(None, 336) == load_preprocessing(tmp_path, 336)
    assert load_preprocessing(None, 168).image_size == 168


def test_preprocessing_takes_other_colours(tmp_path: Path) -> None:
    write(tmp_path, {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]}, "preprocessor_config.json")
    constants = load_preprocessing(tmp_path, 336)
    assert (constants.mean, constants.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 224),
        ("size", {"height": 336, "width": 336}),
        ("size", {"shortest_edge": 224}),
        ("size", {"shortest_edge": [336]}),
        ("crop_size", {"height": 336, "width": 224}),
        ("crop_size", 224),
        ("resample", 2),
        ("do_normalize", False),
        ("do_center_crop", 1),
        ("rescale_factor", 1.0),
        ("image_mean", [0.5, 0.5]),
        ("image_mean", [0.5, float("nan"), 0.5]),
        ("image_mean", [0.5, 0.5, 116]),
        ("image_std", [0.5, 0.5, 0.0]),
        ("image_std", 0.5),
    ],
)
def test_other_preprocessing_is_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        load_preprocessing(write(tmp_path, {key: value}, "preprocessor_config.json"), 336)
    assert str(caught.value).startswith(f"{tmp_path / 'preprocessor_config.json'}: {key} is ")


@pytest.mark.parametrize(
    ("data", "legacy"),
    [({"legacy": True}, True), ({"legacy": False}, False), ({"legacy": None}, True), ({}, True)],
)
def test_tokenizer_flag(tmp_path: Path, data: object, legacy: bool) -> None:
    assert tokenizer_is_legacy(tmp_path) is True
    assert tokenizer_is_legacy(write(tmp_path, data, "tokenizer_config.json")) is legacy


@pytest.mark.parametrize(("key", "value"), [("legacy", "yes"), ("add_bos_token", False), ("add_eos_token", True)])
def test_other_tokenizers_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"tokenizer_config.json: {key} is "):
        tokenizer_is_legacy(write(tmp_path, {key: value}, "tokenizer_config.json"))
