"""Engines: arrays in, logits out. Other rooms use only what is named here.

A name's file is imported when the name is first asked for: the command line's help needs a few, and no numpy.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgevlm_engines.bundle import TOKENIZER, Bundle, check_sizes, open_bundle, read_manifest
    from edgevlm_engines.engine import IMAGE_TOKEN, Engine, EngineInfo, Floats, Segment, Tokens
    from edgevlm_engines.errors import BundleError, DeviceError, EngineError, EngineLoadError, NotNow, Unreadable
    from edgevlm_engines.host_memory import available_memory, installed_memory
    from edgevlm_engines.loading import engine_for, load_engine, provider_for, slot_length
    from edgevlm_engines.manifest import About, Manifest, Preprocessing, Prompt
    from edgevlm_engines.memory_advice import alternatives, fewer_slots
    from edgevlm_engines.memory_plan import Demand, MemoryPlan, model_place, plan_memory
    from edgevlm_engines.names import EngineName, Provider
    from edgevlm_engines.sizes import size_text

__all__ = [
    "IMAGE_TOKEN",
    "TOKENIZER",
    "About",
    "Bundle",
    "BundleError",
    "Demand",
    "DeviceError",
    "Engine",
    "EngineError",
    "EngineInfo",
    "EngineLoadError",
    "EngineName",
    "Floats",
    "Manifest",
    "MemoryPlan",
    "NotNow",
    "Preprocessing",
    "Prompt",
    "Provider",
    "Segment",
    "Tokens",
    "Unreadable",
    "alternatives",
    "available_memory",
    "check_sizes",
    "engine_for",
    "fewer_slots",
    "installed_memory",
    "load_engine",
    "model_place",
    "open_bundle",
    "plan_memory",
    "provider_for",
    "read_manifest",
    "size_text",
    "slot_length",
]

_FILES = (
    "names",
    "sizes",
    "errors",
    "host_memory",
    "manifest",
    "bundle",
    "engine",
    "memory_plan",
    "memory_advice",
    "loading",
)
"""Where these names are looked for: what loads quickly comes first."""

# ONNX Runtime from 1.30 on keeps an identifier of the device and sends events over the network, unless it finds this
# when it is loaded; no file of this room is imported before this one. C code reads it, so `os.environ` need not know.
os.putenv("ORT_DISABLE_TELEMETRY", "1")


if not TYPE_CHECKING:  # a type checker would take every name for granted

    def __getattr__(name: str) -> object:
        if name in __all__:
            for file in _FILES:
                module = import_module(f"{__name__}.{file}")
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
