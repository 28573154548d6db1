"""What a plan is asked for: ranges of its inputs' shapes. Arithmetic, no TensorRT."""

from typing import NamedTuple

from edgevlm_engines.graph_names import cache_sides
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.plan_cache import PlanShape

USUAL_SLOTS = 4
USUAL_WINDOW = 512
"""Kernels are timed with this many, or with the most that a plan allows if that is less."""

Shape = tuple[int, ...]


class Range(NamedTuple):
    """Shapes of one input that a plan takes; kernels are timed with `usual`."""

    least: Shape
    usual: Shape
    most: Shape


Profile = dict[str, Range]
"""Ranges of all inputs, for one use of a plan."""


def decoder_profiles(manifest: Manifest, shape: PlanShape) -> list[Profile]:
    """Profile 0 takes a piece of one slot's prompt, profile 1 a token of each of several slots."""
    slots = (1, min(USUAL_SLOTS, shape.slots), shape.slots)
    return [
        _decoder_profile(manifest, shape.capacity, slots=(1, 1, 1), sequence=(1, shape.chunk, shape.chunk)),
        _decoder_profile(manifest, shape.capacity, slots=slots, sequence=(1, 1, 1)),
    ]


def vision_profiles(manifest: Manifest) -> list[Profile]:
    """One profile, of one shape: pictures are encoded one at a time."""
    side = manifest.preprocessing.size
    picture = (1, 3, side, side)
    return [{"pixels": Range(picture, picture, picture)}]


def _decoder_profile(
    manifest: Manifest, capacity: int, slots: tuple[int, int, int], sequence: tuple[int, int, int]
) -> Profile:
    model = manifest.decoder
    cache = Range(*((count, model.kv_heads, capacity, model.head_dim) for count in slots))
    profile = {
        "hidden": Range(*((*both, model.hidden_size) for both in zip(slots, sequence, strict=True))),
        "past_length": Range(*((count,) for count in slots)),
        "cache_positions": Range((1,), (min(USUAL_WINDOW, capacity),), (capacity,)),
    }
    caches = [f"past_{side}" for side in cache_sides(model.layers)]
    return profile | dict.fromkeys(caches, cache)
