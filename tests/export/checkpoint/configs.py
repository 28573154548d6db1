"""The published models' configurations, written out, and a writer for changed ones."""

import json
from pathlib import Path

from edgevlm_export.checkpoint.config import VisionConfig

COMMON: dict[str, object] = {
    "architectures": ["MobileLlamaForCausalLM"],
    "model_type": "mobilevlm",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "hidden_act": "silu",
    "vocab_size": 32000,
    "pretraining_tp": 1,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "vision_tower_type": "clip",
    "mm_hidden_size": 1024,
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "image_aspect_ratio": "pad",
    "image_grid_pinpoints": None,
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "use_mm_proj": True,
    "mm_projector_type": "ldpnetv2",
    "mm_projector_lr": None,
}
SMALL = COMMON | {
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "intermediate_size": 5632,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "max_sequence_length": 2048,
}
LIT_GPT = {
    "n_head": 16,
    "n_query_groups": 16,
    "n_embd": 2560,
    "n_layer": 32,
    "norm_eps": 1e-5,
    "block_size": 2048,
    "rope_base": 500000,
    "head_size": 160,
    "_mlp_class": "LLaMAMLP",
    "_norm_class": "RMSNorm",
    "gelu_approximate": "none",
    "lm_head_bias": True,
    "bias": True,
    "padded_vocab_size": 32064,
    "parallel_residual": False,
    "rotary_percentage": 1.0,
}
MIDDLE = COMMON | {
    "hidden_size": 2560,
    "num_hidden_layers": 32,
    "intermediate_size": 6912,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
}
LARGE = COMMON | {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
}
CLIP_LARGE_336 = VisionConfig(
    hidden_size=1024,
    layers=24,
    layers_run=23,
    heads=16,
    intermediate_size=4096,
    image_size=336,
    patch_size=14,
    layer_norm_eps=1e-5,
    hidden_act="quick_gelu",
)
CLIP_VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}
CLIP_FILE = {"model_type": "clip", "vision_config": CLIP_VISION}


def write(folder: Path, data: object, name: str = "config.json") -> Path:
    """Writes an object as JSON, and makes the folder if need be; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(data))
    return folder
