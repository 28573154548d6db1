"""Sizes and constants of a model, read from the JSON files beside its weights. Knows no tensors.

Follows what upstream computes, not all that the files say: keys it ignores (the lit-gpt leftovers in the 3B
config, for one) are ignored here, and what it would compute differently from the graphs is refused by name.
"""

from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines.manifest import Projector

from edgevlm_export.checkpoint.json_keys import Keys, read_json
from edgevlm_export.errors import ConfigError

POOLED_GRID = 12  # upstream's LDPv2 pools to 12 x 12, whatever the tower's grid


@dataclass(frozen=True)
class VisionConfig:
    """A CLIP vision tower; sizes in channels, images and patches in pixels."""

    hidden_size: int
    layers: int  # stored in the file
    layers_run: int  # computed: the features come from between two layers
    heads: int
    intermediate_size: int
    image_size: int
    patch_size: int
    layer_norm_eps: float
    hidden_act: str  # "quick_gelu" or "gelu" (erf)

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.hidden_size // self.heads

    @property
    def grid(self) -> int:
        """Patches along one edge of the square image."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class ModelConfig:
    """A MobileVLM model: the LLaMA decoder, the projector's kind and the vision tower."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    max_length: int  # tokens, those of the image included
    bos_id: int
    eos_id: int
    projector: Projector
    vision: VisionConfig

    @property
    def tower_in_checkpoint(self) -> bool:
        """Whether the tower's weights are the checkpoint's own, not those of the CLIP folder."""
        return self.projector == "ldpnetv2"

    @property
    def image_tokens(self) -> int:
        """Tokens that one image takes in the prompt."""
        edge = POOLED_GRID if self.projector == "ldpnetv2" else (self.vision.grid + 1) // 2
        return edge**2


_CLIP_LARGE_336 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}


def load_config(checkpoint: Path, tower: Path | None = None) -> ModelConfig:
    """The model in the folder `checkpoint`, with the vision tower described by the CLIP folder `tower`.

    Without `tower` an LDPv2 model is taken to hold openai/clip-vit-large-patch14-336; LDP needs the folder.
    Raises ConfigError, naming the file and the key, for anything that is missing or not supported.
    """
    keys = Keys(checkpoint / "config.json", read_json(checkpoint / "config.json"))
    _refuse_unsupported(keys)
    projector = _projector(keys)
    vision = _vision(keys, projector, tower)
    heads = keys.size("num_attention_heads")
    kv_heads = keys.size("num_key_value_heads", heads)
    hidden = keys.size("hidden_size")
    if hidden % heads or (hidden // heads) % 2:
        raise keys.refusal("num_attention_heads", f"hidden_size {hidden} must split into heads of an even size")
    if heads % kv_heads:
        raise keys.refusal("num_key_value_heads", f"it must divide the {heads} attention heads")
    keys.expect("head_dim", hidden // heads, hidden // heads)
    vocabulary = keys.size("vocab_size")
    return ModelConfig(
        hidden_size=hidden,
        layers=keys.size("num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=hidden // heads,
        intermediate_size=keys.size("intermediate_size"),
        vocab_size=vocabulary,
        rms_norm_eps=keys.number("rms_norm_eps", 1e-6),
        rope_theta=_rope_theta(keys),
        max_length=_max_length(keys),
        bos_id=_token(keys, "bos_token_id", 1, vocabulary),
        eos_id=_token(keys, "eos_token_id", 2, vocabulary),
        projector=projector,
        vision=vision,
    )


def _refuse_unsupported(keys: Keys) -> None:
    keys.expect("model_type", "mobilevlm")
    keys.expect("hidden_act", "silu", "silu")
    for key in (
        "attention_bias",
        "mlp_bias",
        "tie_word_embeddings",
        "mm_use_im_start_end",
        "mm_use_im_patch_token",
    ):
        keys.expect(key, False, False)
    keys.expect("quantization_config", None)
    keys.expect("vision_tower_type", "clip", "clip")
    keys.expect("mm_vision_select_feature", "patch", "patch")
    keys.expect("image_aspect_ratio", "pad")


def _projector(keys: Keys) -> Projector:
    kind = keys.get("mm_projector_type")
    if kind not in ("ldpnet", "ldpnetv2"):
        raise keys.refusal("mm_projector_type", 'only "ldpnet" and "ldpnetv2" are supported')
    return kind


def _max_length(keys: Keys) -> int:
    # upstream says 2048 where max_sequence_length is absent, even for 7B with its 4096 positions
    longest = keys.size("max_position_embeddings", 2048)
    return min(keys.size("max_sequence_length", 2048), longest)


def _rope_theta(keys: Keys) -> float:
    """Newer files state it in an object, which may also ask for scaled positions: those are not supported."""
    theta = keys.get("rope_theta")
    for key in ("rope_scaling", "rope_parameters"):
        rope = keys.get(key, {})
        if not isinstance(rope, dict) or any(
            rope.get(name) not in (None, "default") for name in ("rope_type", "type")
        ):
            raise keys.refusal(key, 'only the type "default" is supported')
        if rope.get("partial_rotary_factor", 1) != 1:
            raise keys.refusal(key, "its partial_rotary_factor must be 1")
        stated = theta if rope.get("rope_theta") is None else rope["rope_theta"]
        if theta not in (None, stated):
            raise keys.refusal(key, f"its rope_theta differs from another one, {theta}")
        theta = stated
    return Keys(keys.path, {"rope_theta": theta}).number("rope_theta", 10000.0)


def _token(keys: Keys, key: str, default: int, vocabulary: int) -> int:
    token = keys.size(key, default, least=0)
    if token >= vocabulary:
        raise keys.refusal(key, f"the vocabulary has {vocabulary} tokens")
    return token


def _vision(model: Keys, projector: Projector, tower: Path | None) -> VisionConfig:
    if tower is None and projector == "ldpnet":
        raise model.refusal(
            "mm_projector_type",
            "such a model needs the folder of its CLIP vision tower (--vision-tower of 'export' and 'serve')",
        )
    keys = Keys(model.path, dict(_CLIP_LARGE_336)) if tower is None else _tower_keys(tower / "config.json")
    layers, hidden = keys.size("num_hidden_layers", 12), keys.size("hidden_size", 768)
    heads, activation = keys.size("num_attention_heads", 12), keys.get("hidden_act", "quick_gelu")
    image, patch = keys.size("image_size", 224), keys.size("patch_size", 32)
    if hidden % heads:
        raise keys.refusal("num_attention_heads", f"it must divide hidden_size {hidden}")
    if activation not in ("quick_gelu", "gelu"):
        raise keys.refusal("hidden_act", 'only "quick_gelu" and "gelu" are supported')
    if image % patch:
        raise keys.refusal("image_size", f"whole patches of {patch} pixels are needed")
    if projector == "ldpnetv2" and (image // patch) % POOLED_GRID:
        raise keys.refusal("image_size", f"the grid of patches must be a multiple of {POOLED_GRID}")
    keys.expect("num_channels", 3, 3)
    if model.size("mm_hidden_size", hidden) != hidden:
        which = "the vision tower" if tower else "CLIP ViT-L/14 at 336 px (no other tower was given)"
        raise model.refusal("mm_hidden_size", f"{which} has {hidden} channels")
    return VisionConfig(
        hidden_size=hidden,
        layers=layers,
        layers_run=_layers_run(model, layers),
        heads=heads,
        intermediate_size=keys.size("intermediate_size", 3072),
        image_size=image,
        patch_size=patch,
        layer_norm_eps=keys.number("layer_norm_eps", 1e-5),
        hidden_act=str(activation),
    )


def _tower_keys(path: Path) -> Keys:
    data = read_json(path)
    if data.get("model_type") == "clip_vision_model":
        return Keys(path, data)
    Keys(path, data).expect("model_type", "clip")
    merged: dict[str, object] = {}
    for key in ("vision_config", "vision_config_dict"):  # the older name wins, as in transformers
        part = data.get(key)
        merged.update(part if isinstance(part, dict) else {})
    if not merged:
        raise ConfigError(f"{path}: vision_config is missing or empty.")
    return Keys(path, merged)


def _layers_run(keys: Keys, layers: int) -> int:
    """Layers to compute for `hidden_states[select]`; entry 0 is the embeddings, entry n follows layer n."""
    select = keys.get("mm_vision_select_layer")
    if type(select) is not int:
        raise keys.refusal("mm_vision_select_layer", "an integer is needed")
    run = select if select >= 0 else layers + 1 + select
    if not 1 <= run <= layers:
        raise keys.refusal("mm_vision_select_layer", f"the vision tower has {layers} layers")
    return run
