"""A checkpoint becomes a bundle: read, describe, write, vouch. Knows the order of work, no operators."""

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from edgevlm_engines.bundle import DECODER, EMBEDDING, TOKENIZER, VISION
from edgevlm_engines.manifest import MOST_SLOTS, Flavour, Manifest
from edgevlm_engines.manifest import Decoder as DecoderPart
from edgevlm_engines.manifest import Preprocessing as PreprocessingPart
from edgevlm_engines.manifest import Prompt as PromptPart
from edgevlm_engines.manifest import Source as SourcePart
from edgevlm_engines.manifest import Vision as VisionPart
from edgevlm_engines.names import Device, Precision, VisionPrecision
from sentencepiece import SentencePieceProcessor

from edgevlm_export.bundle_writer import Progress, check_room, file_table, new_folder, write_manifest
from edgevlm_export.checkpoint.checkpoint import Checkpoint, as_float16, open_checkpoint, vision_checkpoint
from edgevlm_export.checkpoint.config import ModelConfig, load_config
from edgevlm_export.checkpoint.input_config import load_preprocessing, tokenizer_is_legacy
from edgevlm_export.errors import CheckpointError, ExportError
from edgevlm_export.graph.decoder import write_decoder
from edgevlm_export.graph.flavours import PARTS
from edgevlm_export.graph.layers import VisionParts
from edgevlm_export.graph.matmul import Product
from edgevlm_export.graph.precision import DECODER_PRECISIONS, FLAVOURS, RUNS, VISION_PRECISIONS
from edgevlm_export.graph.projector import write_ldp, write_ldpv2
from edgevlm_export.graph.vision import write_vision_encoder
from edgevlm_export.graph.weights import Weights
from edgevlm_export.graph.writer import GraphWriter

SYSTEM_TEXT = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
"""The system text of upstream's template `v1`."""

PAD_COLOUR = (122, 116, 104)
"""CLIP's mean colour as upstream truncates it: `int(mean * 255)`."""

PROJECTORS = {
    "ldpnet": (write_ldp, "model.mm_projector.model."),
    "ldpnetv2": (write_ldpv2, "model.mm_projector."),
}
VISION_TOWER = "model.vision_tower.vision_tower."


@dataclass(frozen=True, slots=True)
class Graphs:
    """Both graphs of a model, described but not yet written."""

    vision: GraphWriter
    decoder: GraphWriter

    def weight_bytes(self) -> int:
        return self.vision.weight_bytes() + self.decoder.weight_bytes()


def export_bundle(
    checkpoint: Path,
    bundle: Path,
    *,
    vision_tower: Path | None = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    vision_precision: VisionPrecision = "fp32",
    name: str | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write the bundle of a published checkpoint to the folder `bundle`, which must not exist.

    `vision_tower` is the CLIP folder: V1 takes weights and shape from it, V2 only the shape (without it, that of
    openai/clip-vit-large-patch14-336). `device` is recorded for whoever loads the bundle. The folder appears complete
    or not at all. Raises `ExportError`.
    """
    check_precisions(device, precision, vision_precision)
    report = progress or Progress()
    config = load_config(checkpoint, vision_tower)
    weights = open_checkpoint(checkpoint)
    tower = weights if config.tower_in_checkpoint else _tower_checkpoint(weights, vision_tower)
    graphs = describe(config, weights, tower, FLAVOURS[device], precision, vision_precision)
    embedding = weights.take("model.embed_tokens.weight", (config.vocab_size, config.hidden_size))
    # V1 has two sources, V2 one
    sources = {source.folder: source for source in (weights, tower)}.values()
    for source in sources:
        source.finish()

    with new_folder(bundle) as folder:
        check_room(folder, graphs.weight_bytes() + as_float16(embedding).nbytes)
        report.start(graphs.weight_bytes() + sum(file.stat().st_size for source in sources for file in source.files))
        _copy_tokenizer(checkpoint, folder, config.vocab_size)
        np.save(folder / EMBEDDING, as_float16(embedding), allow_pickle=False)
        graphs.vision.save(folder / VISION, report.advance)
        graphs.decoder.save(folder / DECODER, report.advance)
        manifest = Manifest(
            model=name or checkpoint.resolve().name,
            family="mobilevlm_v2" if config.projector == "ldpnetv2" else "mobilevlm",
            flavour=FLAVOURS[device],
            device=device,
            precision=precision,
            vision_precision=vision_precision,
            max_slots=MOST_SLOTS,
            max_length=config.max_length,
            decoder=_decoder_part(config),
            vision=_vision_part(config),
            preprocessing=_preprocessing_part(config, vision_tower),
            prompt=_prompt_part(config, checkpoint),
            exporter=f"edgevlm {version('edgevlm')}",
            sources=tuple(
                SourcePart(name=source.folder.resolve().name, sha256=source.source_digest(report.advance))
                for source in sources
            ),
            files=file_table(folder),
        )
        write_manifest(folder, manifest)
    report.finish()
    return manifest


def check_precisions(device: Device, precision: Precision, vision_precision: VisionPrecision) -> None:
    """Raise `ExportError` for a bundle that the device could not run."""
    for part, chosen, allowed in zip(("", "vision "), (precision, vision_precision), RUNS[device], strict=True):
        if chosen not in allowed:
            raise ExportError(
                f"A bundle for {device} can have {part}precision {' or '.join(allowed)}, not {chosen}; nothing there "
                "runs the other."
            )


def describe(
    config: ModelConfig,
    checkpoint: Checkpoint,
    tower: Checkpoint,
    flavour: Flavour,
    precision: Precision,
    vision_precision: VisionPrecision,
) -> Graphs:
    """Write both graphs in memory; weights stay on disk. Takes or skips every tensor but the embedding table."""
    speaking, seeing = DECODER_PRECISIONS[flavour][precision], VISION_PRECISIONS[flavour][vision_precision]
    vision = GraphWriter("vision", seeing.dtype, seeing.opset)
    decoder = GraphWriter("decoder", speaking.dtype, speaking.opset)
    parts = PARTS[flavour]
    _describe_vision(vision, parts.vision(vision, config.vision), config, checkpoint, tower, seeing.product)
    layers, head = (Weights(decoder, checkpoint, "", product) for product in (speaking.product, speaking.head))
    write_decoder(decoder, parts.decoder(decoder, config), layers, head, config)
    return Graphs(vision, decoder)


def _tower_checkpoint(checkpoint: Checkpoint, vision_tower: Path | None) -> Checkpoint:
    """Upstream loads V1's tower from the CLIP repository over the one in the checkpoint."""
    assert vision_tower is not None, "load_config refuses V1 without it"
    checkpoint.skip(f"{VISION_TOWER}*", "this model computes with the tower of the CLIP folder")
    return vision_checkpoint(vision_tower)


def _describe_vision(
    graph: GraphWriter,
    parts: VisionParts,
    config: ModelConfig,
    checkpoint: Checkpoint,
    tower: Checkpoint,
    product: Product,
) -> None:
    """The projector keeps the graph's type: it is a fiftieth of the work."""
    size = config.vision.image_size
    pixels = graph.input("pixels", ("images", 3, size, size), np.float32)
    prefix = VISION_TOWER if tower is checkpoint else ""
    _skip_unused_vision(tower, prefix, config)
    weights = Weights(graph, tower, f"{prefix}vision_model.", product)
    hidden = write_vision_encoder(graph, parts, weights, config.vision, graph.to_own_type(pixels))
    write_projector, path = PROJECTORS[config.projector]
    projector = Weights(graph, checkpoint, path)
    features = write_projector(graph, parts, projector, config.vision, config.hidden_size, hidden)
    shape = ("images", config.image_tokens, config.hidden_size)
    graph.output(graph.to_float32(features), "features", shape, np.float32)


def _skip_unused_vision(tower: Checkpoint, prefix: str, config: ModelConfig) -> None:
    for index in range(config.vision.layers_run, config.vision.layers):
        tower.skip(f"{prefix}vision_model.encoder.layers.{index}.*", "features come from before this layer")
    tower.skip(f"{prefix}vision_model.post_layernorm.*", "features come from before this norm")


def _copy_tokenizer(checkpoint: Path, folder: Path, vocabulary: int) -> None:
    source = checkpoint / TOKENIZER
    if not source.is_file():
        raise CheckpointError(f"{source} is missing.")
    shutil.copyfile(source, folder / TOKENIZER)
    try:
        tokens = SentencePieceProcessor(model_file=str(folder / TOKENIZER)).vocab_size()
    except RuntimeError:
        raise CheckpointError(f"{source} is not a SentencePiece model.") from None
    if tokens != vocabulary:
        raise CheckpointError(f"{source} has {tokens} tokens, but config.json says {vocabulary}.")


def _decoder_part(config: ModelConfig) -> DecoderPart:
    return DecoderPart(
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


def _vision_part(config: ModelConfig) -> VisionPart:
    return VisionPart(
        hidden_size=config.vision.hidden_size,
        layers=config.vision.layers_run,
        heads=config.vision.heads,
        patch_size=config.vision.patch_size,
        projector=config.projector,
        image_tokens=config.image_tokens,
    )


def _preprocessing_part(config: ModelConfig, vision_tower: Path | None) -> PreprocessingPart:
    source = load_preprocessing(vision_tower, config.vision.image_size)
    return PreprocessingPart(size=source.image_size, mean=source.mean, std=source.std, pad_colour=PAD_COLOUR)


def _prompt_part(config: ModelConfig, checkpoint: Path) -> PromptPart:
    return PromptPart(
        template="v1",
        system=SYSTEM_TEXT,
        legacy=tokenizer_is_legacy(checkpoint),
        bos_id=config.bos_id,
        eos_id=config.eos_id,
        stop_ids=(config.eos_id,),
    )
