"""Sizes of the published MobileVLM models, and the JSON files that state them. Knows no tensors."""

from dataclasses import dataclass, replace

from edgevlm_export.checkpoint.config import POOLED_GRID

Json = dict[str, object]

IMAGE_TOKENS = POOLED_GRID**2
MAX_LENGTH = 2048
"""Positions that the published models can hold."""


@dataclass(frozen=True, slots=True)
class Tower:
    """A CLIP vision tower; `image` and `patch` in pixels. Its last layer is stored and never run."""

    width: int
    layers: int
    heads: int
    inner: int
    image: int
    patch: int

    @property
    def positions(self) -> int:
        return (self.image // self.patch) ** 2 + 1


@dataclass(frozen=True, slots=True)
class Shape:
    """A MobileVLM model: its LLaMA decoder and its tower."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    tower: Tower

    def with_layers(self, layers: int) -> "Shape":
        """The same with another number of decoder layers."""
        return replace(self, layers=layers)


CLIP_LARGE_336 = Tower(width=1024, layers=24, heads=16, inner=4096, image=336, patch=14)
# llama.cpp's projector takes a grid of 24 x 24 patches and no other
TINY_TOWER = Tower(width=64, layers=3, heads=2, inner=128, image=96, patch=4)

SHAPES = {
    "1.7B": Shape(width=2048, layers=24, heads=16, inner=5632, vocabulary=32_000, tower=CLIP_LARGE_336),
    "3B": Shape(width=2560, layers=32, heads=32, inner=6912, vocabulary=32_000, tower=CLIP_LARGE_336),
    "7B": Shape(width=4096, layers=32, heads=32, inner=11008, vocabulary=32_000, tower=CLIP_LARGE_336),
    "tiny": Shape(width=128, layers=2, heads=2, inner=256, vocabulary=512, tower=TINY_TOWER),
}


def model_config(shape: Shape) -> Json:
    """`config.json` of a checkpoint."""
    return {
        "architectures": ["MobileLlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": shape.width,
        "image_aspect_ratio": "pad",
        "intermediate_size": shape.inner,
        "max_position_embeddings": MAX_LENGTH,
        "max_sequence_length": MAX_LENGTH,
        "mm_hidden_size": shape.tower.width,
        "mm_projector_type": "ldpnetv2",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "openai/clip-vit-large-patch14-336",
        "model_type": "mobilevlm",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.heads,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_mm_proj": True,
        "vision_tower_type": "clip",
        "vocab_size": shape.vocabulary,
    }


def clip_config(tower: Tower) -> Json:
    """`config.json` of the CLIP folder beside it, from which an export takes the tower's sizes."""
    return {
        "model_type": "clip",
        "vision_config": {
            "hidden_size": tower.width,
            "image_size": tower.image,
            "intermediate_size": tower.inner,
            "num_attention_heads": tower.heads,
            "num_hidden_layers": tower.layers,
            "patch_size": tower.patch,
        },
    }


def tokenizer_config() -> Json:
    """`tokenizer_config.json`, as far as anything reads it."""
    return {"add_bos_token": True, "add_eos_token": False, "legacy": True, "tokenizer_class": "LlamaTokenizer"}
