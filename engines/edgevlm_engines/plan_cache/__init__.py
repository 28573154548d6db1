"""The plan cache: TensorRT plans beside a bundle, one folder for each machine and shape. Knows no TensorRT."""

from edgevlm_engines.plan_cache.choice import serving_shape
from edgevlm_engines.plan_cache.files import (
    DECODER_PLAN,
    SIDECAR,
    VISION_PLAN,
    PlanFiles,
    describe,
    has_plans,
    open_plans,
    plan_folder,
)
from edgevlm_engines.plan_cache.key import (
    CHUNK,
    LIBRARIES,
    NATIVE_SINCE,
    TENSORRT,
    TENSORRT_RTX,
    PlanShape,
    Target,
    capacity,
    check_flavour,
    device_for,
    plan_key,
    plan_shape,
    windows,
)

__all__ = [
    "CHUNK",
    "DECODER_PLAN",
    "LIBRARIES",
    "NATIVE_SINCE",
    "SIDECAR",
    "TENSORRT",
    "TENSORRT_RTX",
    "VISION_PLAN",
    "PlanFiles",
    "PlanShape",
    "Target",
    "capacity",
    "check_flavour",
    "describe",
    "device_for",
    "has_plans",
    "open_plans",
    "plan_folder",
    "plan_key",
    "plan_shape",
    "serving_shape",
    "windows",
]
