"""What a manifest says of a model, from its configuration. Knows no weights and no graphs."""

from pathlib import Path

from edgevlm_engines.manifest import Decoder, Preprocessing, Prompt, Vision

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.checkpoint.input_config import load_preprocessing, tokenizer_is_legacy

SYSTEM_TEXT = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
"""The system text of upstream's template `v1`."""

PAD_COLOUR = (122, 116, 104)
"""CLIP's mean colour as upstream truncates it: `int(mean * 255)`."""


def decoder_part(config: ModelConfig) -> Decoder:
    return Decoder(
        hidden_size=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        intermediate_size=config.intermediate_size,
        vocab_size=config.vocab_size,
        rms_norm_eps=config.rms_norm_eps,
        rope_theta=config.rope_theta,
    )


def vision_part(config: ModelConfig) -> Vision:
    return Vision(
        hidden_size=config.vision.hidden_size,
        layers=config.vision.layers_run,
        heads=config.vision.heads,
        patch_size=config.vision.patch_size,
        projector=config.projector,
        image_tokens=config.image_tokens,
    )


def preprocessing_part(config: ModelConfig, vision_tower: Path | None) -> Preprocessing:
    source = load_preprocessing(vision_tower, config.vision.image_size)
    return Preprocessing(size=source.image_size, mean=source.mean, std=source.std, pad_colour=PAD_COLOUR)


def prompt_part(config: ModelConfig, checkpoint: Path) -> Prompt:
    return Prompt(
        template="v1",
        system=SYSTEM_TEXT,
        legacy=tokenizer_is_legacy(checkpoint),
        bos_id=config.bos_id,
        eos_id=config.eos_id,
        stop_ids=(config.eos_id,),
    )
