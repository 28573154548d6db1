"""Which parts a flavour's graphs are written with. Knows who writes what, nothing of how."""

from collections.abc import Callable
from typing import NamedTuple

from edgevlm_engines.manifest import Flavour

from edgevlm_export.checkpoint.config import ModelConfig, VisionConfig
from edgevlm_export.graph.decoder import DecoderParts
from edgevlm_export.graph.layers import VisionParts
from edgevlm_export.graph.ort.decoder import OrtDecoderParts
from edgevlm_export.graph.ort.vision import OrtVisionParts
from edgevlm_export.graph.trt.native_decoder import NativeDecoderParts
from edgevlm_export.graph.trt.split_decoder import SplitDecoderParts
from edgevlm_export.graph.trt.vision import BasicVisionParts, native_vision_parts
from edgevlm_export.graph.writer import GraphWriter


class Parts(NamedTuple):
    """Makers of a graph's parts; making the decoder's declares inputs."""

    decoder: Callable[[GraphWriter, ModelConfig], DecoderParts]
    vision: Callable[[GraphWriter, VisionConfig], VisionParts]


PARTS: dict[Flavour, Parts] = {
    "ort": Parts(OrtDecoderParts, OrtVisionParts),
    "trt-native": Parts(NativeDecoderParts, native_vision_parts),
    "trt-split": Parts(SplitDecoderParts, BasicVisionParts),
}
