"""Both graphs of a model in one flavour: which weights go where, and what stays unused. Knows no operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgevlm_engines.bundle import DECODER, VISION
from edgevlm_engines.manifest import Flavour
from edgevlm_engines.names import Precision, VisionPrecision

from edgevlm_export.bundle_writer import Progress
from edgevlm_export.checkpoint.checkpoint import Checkpoint
from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.graph.decoder import write_decoder
from edgevlm_export.graph.flavours import PARTS
from edgevlm_export.graph.kept import Kept
from edgevlm_export.graph.layers import VisionParts
from edgevlm_export.graph.matmul import MatmulWriter
from edgevlm_export.graph.precision import DECODER_PRECISIONS, VISION_PRECISIONS
from edgevlm_export.graph.projector import write_ldp, write_ldpv2
from edgevlm_export.graph.trt.lint import lint
from edgevlm_export.graph.vision import write_vision_encoder
from edgevlm_export.graph.weights import Weights
from edgevlm_export.graph.writer import GraphWriter
from edgevlm_export.model_source import VISION_TOWER, ModelSource

PROJECTORS = {
    "ldpnet": (write_ldp, "model.mm_projector.model."),
    "ldpnetv2": (write_ldpv2, "model.mm_projector."),
}


@dataclass(frozen=True, slots=True)
class Graphs:
    """Both graphs of a model, described but not yet written."""

    flavour: Flavour
    vision: GraphWriter
    decoder: GraphWriter

    def weight_bytes(self) -> int:
        return self.vision.weight_bytes() + self.decoder.weight_bytes()

    def save(self, folder: Path, progress: Progress) -> None:
        """Write both files, each with its weights beside it. Raises `ExportError` for one that breaks a rule."""
        for graph, name in ((self.vision, VISION), (self.decoder, DECODER)):
            graph.save(folder / name, progress.advance)
            lint(folder / name, self.flavour)


def describe(
    model: ModelSource,
    flavour: Flavour,
    precision: Precision,
    vision_precision: VisionPrecision,
    kept: Sequence[str] = (),
) -> Graphs:
    """Write both graphs in memory; weights stay on disk. Takes or skips every tensor but the embedding table.

    Matmuls whose names match one of the patterns `kept` are not rounded. Raises `ExportError` for a pattern that
    matches none that would be.
    """
    config = model.config
    speaking, seeing = DECODER_PRECISIONS[flavour][precision], VISION_PRECISIONS[flavour][vision_precision]
    vision = GraphWriter("vision", seeing.dtype, seeing.opset)
    decoder = GraphWriter("decoder", speaking.dtype, speaking.opset)
    parts = PARTS[flavour]
    exceptions = Kept(kept)
    _describe_vision(vision, parts.vision(vision, config.vision), model, exceptions.writer(seeing.matmul))
    layers, head = (
        Weights(decoder, model.weights, "", exceptions.writer(matmul)) for matmul in (speaking.matmul, speaking.head)
    )
    write_decoder(decoder, parts.decoder(decoder, config), layers, head, config)
    exceptions.check()
    return Graphs(flavour, vision, decoder)


def _describe_vision(graph: GraphWriter, parts: VisionParts, model: ModelSource, matmul: MatmulWriter) -> None:
    """The projector keeps the graph's type: it is a fiftieth of the work."""
    config, tower = model.config, model.tower
    size = config.vision.image_size
    pixels = graph.input("pixels", ("images", 3, size, size), np.float32)
    prefix = VISION_TOWER if config.tower_in_checkpoint else ""
    _skip_unused_vision(tower, prefix, config)
    weights = Weights(graph, tower, f"{prefix}vision_model.", matmul)
    hidden = write_vision_encoder(graph, parts, weights, config.vision, graph.to_own_type(pixels))
    write_projector, path = PROJECTORS[config.projector]
    projector = Weights(graph, model.weights, path)
    features = write_projector(graph, parts, projector, config.vision, config.hidden_size, hidden)
    shape = ("images", config.image_tokens, config.hidden_size)
    graph.output(graph.to_float32(features), "features", shape, np.float32)


def _skip_unused_vision(tower: Checkpoint, prefix: str, config: ModelConfig) -> None:
    for index in range(config.vision.layers_run, config.vision.layers):
        tower.skip(f"{prefix}vision_model.encoder.layers.{index}.*", "features come from before this layer")
    tower.skip(f"{prefix}vision_model.post_layernorm.*", "features come from before this norm")
