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
    NATIVE_SINCE,
    PlanShape,
    Target,
    capacity,
    check_flavour,
    plan_key,
    plan_shape,
    windows,
)

__all__ = [
    "CHUNK",
    "DECODER_PLAN",
    "NATIVE_SINCE",
    "SIDECAR",
    "VISION_PLAN",
    "PlanFiles",
    "PlanShape",
    "Target",
    "capacity",
    "check_flavour",
    "describe",
    "has_plans",
    "open_plans",
    "plan_folder",
    "plan_key",
    "plan_shape",
    "serving_shape",
    "windows",
]
