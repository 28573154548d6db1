"""Configurations: the five published models, what upstream ignores, and what is refused by name."""

from pathlib import Path

import pytest
from edgevlm_export.checkpoint.config import ModelConfig, load_config
from edgevlm_export.checkpoint.input_config import tokenizer_is_legacy
from edgevlm_export.checkpoint.json_keys import read_json
from edgevlm_export.errors import ConfigError, ExportError

from tests.export.checkpoint.configs import CLIP_FILE, CLIP_LARGE_336, LARGE, LIT_GPT, MIDDLE, SMALL, write

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def decoder(config: ModelConfig) -> tuple[object, ...]:
    sizes = (config.hidden_size, config.layers, config.heads, config.kv_heads, config.head_dim)
    return (*sizes, config.intermediate_size, config.rms_norm_eps, config.max_length)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        pytest.param(SMALL, (2048, 24, 16, 16, 128, 5632, 1e-6, 2048), id="1.7B"),
        pytest.param(MIDDLE | LIT_GPT, (2560, 32, 32, 32, 80, 6912, 1e-6, 2048), id="3B"),
        pytest.param(LARGE, (4096, 32, 32, 32, 128, 11008, 1e-5, 2048), id="7B"),
    ],
)
@pytest.mark.parametrize("projector", ["ldpnet", "ldpnetv2"])
def test_published_models(tmp_path: Path, data: dict[str, object], wanted: object, projector: str) -> None:
    tower = write(tmp_path / "clip", CLIP_FILE)
    config = load_config(write(tmp_path / "model", data | {"mm_projector_type": projector}), tower)
    assert decoder(config) == wanted
    assert (config.vocab_size, config.rope_theta) == (32000, 10000.0)
    assert (config.bos_id, config.eos_id) == (1, 2)
    assert config.vision == CLIP_LARGE_336
    assert (config.vision.head_dim, config.vision.grid) == (64, 24)
    assert config.projector == projector
    assert config.tower_in_checkpoint == (projector == "ldpnetv2")
    assert config.image_tokens == 144


def test_v2_knows_its_tower_without_the_folder(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, SMALL)).vision == CLIP_LARGE_336


def test_v1_needs_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mm_projector_type .* needs the folder of its CLIP vision tower"):
        load_config(write(tmp_path, SMALL | {"mm_projector_type": "ldpnet"}))


def test_a_tower_of_another_width_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mm_hidden_size is 32, but CLIP ViT-L/14 .* has 1024 channels"):
        load_config(write(tmp_path, SMALL | {"mm_hidden_size": 32}))


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ("v1", (64, 2, 4, 4, 16, 176, 1e-6, 2048)),
        ("v2", (64, 2, 4, 4, 16, 176, 1e-6, 2048)),
        ("v2-headdim80-bf16", (160, 3, 2, 2, 80, 320, 1e-6, 2048)),
    ],
)
def test_golden_models(case: str, wanted: object) -> None:
    config = load_config(GOLDEN / case / "checkpoint", GOLDEN / case / "clip")
    assert decoder(config) == wanted
    assert (config.vision.layers, config.vision.layers_run, config.vision.head_dim) == (3, 2, 8)
    assert (config.vision.hidden_act, config.vision.layer_norm_eps) == ("quick_gelu", 1e-5)
    assert tokenizer_is_legacy(GOLDEN / case / "checkpoint")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"max_sequence_length": 4096, "max_position_embeddings": 4096}, 4096),
        ({"max_sequence_length": 4096, "max_position_embeddings": 1024}, 1024),
        ({"max_sequence_length": None, "max_position_embeddings": 512}, 512),
        ({"max_sequence_length": None, "max_position_embeddings": 4096}, 2048),
    ],
)
def test_context_length(tmp_path: Path, change: dict[str, object], wanted: int) -> None:
    assert load_config(write(tmp_path, SMALL | change)).max_length == wanted


def test_what_llama_leaves_out_has_llamas_defaults(tmp_path: Path) -> None:
    required = SMALL.keys() - {"num_key_value_heads", "rms_norm_eps", "rope_theta", "max_position_embeddings"}
    config = load_config(write(tmp_path, {key: SMALL[key] for key in required}))
    assert (config.kv_heads, config.rms_norm_eps, config.rope_theta, config.max_length) == (16, 1e-6, 10000.0, 2048)


def test_grouped_heads(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, SMALL | {"num_key_value_heads": 4})).kv_heads == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_scaling": {"type": "default"}},
        {"rope_scaling": {"rope_type": "default", "factor": 1.0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": None}},
        {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        {"pad_token_id": -1},
    ],
)
def test_what_changes_nothing_is_accepted(tmp_path: Path, changes: dict[str, object]) -> None:
    assert load_config(write(tmp_path / "a", SMALL | changes)) == load_config(write(tmp_path / "b", SMALL))


def test_a_rope_theta_may_stand_in_an_object(tmp_path: Path) -> None:
    rope = {"rope_type": "default", "rope_theta": 500000.0}
    assert load_config(write(tmp_path, SMALL | {"rope_theta": None, "rope_parameters": rope})).rope_theta == 500000
    with pytest.raises(ConfigError, match="rope_theta is -1"):
        load_config(write(tmp_path, SMALL | {"rope_theta": None, "rope_parameters": {"rope_theta": -1}}))


REFUSED: list[tuple[str, object]] = [
    ("model_type", "llava"),
    ("model_type", None),
    ("hidden_act", "gelu"),
    ("rope_scaling", {"type": "linear", "factor": 2.0}),
    ("rope_scaling", {"type": "default", "rope_type": "linear"}),
    ("rope_scaling", ["default"]),
    ("rope_scaling", {"type": []}),
    ("rope_parameters", {"rope_type": "yarn", "rope_theta": 10000.0}),
    ("rope_parameters", {"rope_type": "default", "rope_theta": 5000.0}),
    ("rope_parameters", {"rope_type": "default", "partial_rotary_factor": 0.5}),
    ("quantization_config", {"bits": 4}),
    ("attention_bias", True),
    ("mlp_bias", True),
    ("tie_word_embeddings", True),
    ("tie_word_embeddings", 0),
    ("mm_use_im_start_end", True),
    ("mm_use_im_patch_token", True),
    ("image_aspect_ratio", "square"),
    ("image_aspect_ratio", None),
    ("mm_vision_select_feature", "cls_patch"),
    ("vision_tower_type", "siglip"),
    ("mm_projector_type", "linear"),
    ("mm_projector_type", "mlp2x_gelu"),
    ("mm_projector_type", "ldpnetv3"),
    ("mm_projector_type", ["ldpnetv2"]),
    ("mm_projector_type", None),
    ("mm_vision_select_layer", None),
    ("mm_vision_select_layer", "last"),
    ("mm_vision_select_layer", -25),
    ("mm_vision_select_layer", 25),
    ("mm_hidden_size", 1000),
    ("hidden_size", None),
    ("hidden_size", 0),
    ("hidden_size", True),
    ("hidden_size", 2048.0),
    ("hidden_size", "2048"),
    ("hidden_size", 1 << 40),
    ("num_hidden_layers", -1),
    ("num_attention_heads", 15),
    ("num_attention_heads", 2048),
    ("num_key_value_heads", 5),
    ("head_dim", 160),
    ("intermediate_size", None),
    ("vocab_size", None),
    ("rms_norm_eps", 0),
    ("rms_norm_eps", "1e-6"),
    ("rope_theta", -1.0),
    ("rope_theta", True),
    ("max_sequence_length", 0),
    ("eos_token_id", [2, 3]),
    ("eos_token_id", 32000),
    ("bos_token_id", -1),
]


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_unsupported_models_are_refused_by_file_and_key(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, SMALL | {key: value}))
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: {key} is ")
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(("select", "run"), [(-1, 24), (-2, 23), (-24, 1), (24, 24), (1, 1)])
def test_layers_to_run(tmp_path: Path, select: int, run: int) -> None:
    assert load_config(write(tmp_path, SMALL | {"mm_vision_select_layer": select})).vision.layers_run == run


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 200_000, '{"a": ' * 200_000, "\ud800".join("{}")])
def test_broken_json_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match="does not hold a JSON object"):
        load_config(tmp_path)


def test_missing_and_oversized_json(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"config\.json cannot be read: No such file"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_bytes(b" " * ((4 << 20) + 1))
    with pytest.raises(ConfigError, match="it has more than 4194304 bytes"):
        read_json(tmp_path / "config.json")
