"""Engines: arrays in, logits out. Other rooms use only what is named here."""

from edgevlm_engines.boundary import IMAGE_TOKEN, MIN_CHUNK, Engine, EngineInfo, Floats, Segment, Tokens
from edgevlm_engines.bundle import TOKENIZER, Bundle, open_bundle, read_manifest
from edgevlm_engines.errors import BundleError, EngineError, EngineLoadError
from edgevlm_engines.loading import EngineName, Provider, load_engine
from edgevlm_engines.manifest import Manifest, Preprocessing, Prompt

__all__ = [
    "IMAGE_TOKEN",
    "MIN_CHUNK",
    "TOKENIZER",
    "Bundle",
    "BundleError",
    "Engine",
    "EngineError",
    "EngineInfo",
    "EngineLoadError",
    "EngineName",
    "Floats",
    "Manifest",
    "Preprocessing",
    "Prompt",
    "Provider",
    "Segment",
    "Tokens",
    "load_engine",
    "open_bundle",
    "read_manifest",
]
