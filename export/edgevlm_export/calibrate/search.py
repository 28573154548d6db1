"""What rounding does to each matmul, and the scale of its inputs' channels that makes it least.

The scales tried are those of AWQ (a power of how large a channel's activations are) and of SmoothQuant (divided by
how large its weights are). Errors are squared, relative to what the outputs vary from position to position: an output
that is always the same says nothing, however large it is.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from edgevlm_engines.names import Device, Precision, VisionPrecision

from edgevlm_export.calibrate.groups import Group, Part
from edgevlm_export.calibrate.rescale import Scale
from edgevlm_export.checkpoint.checkpoint import as_float16
from edgevlm_export.graph.precision import DECODER_PRECISIONS, FLAVOURS, VISION_PRECISIONS
from edgevlm_export.graph.quantise import Floats
from edgevlm_export.graph.rounding import Inputs, Rounding
from edgevlm_export.model_source import ModelSource

EXPONENTS = tuple(step / 8 for step in range(1, 9))
OUTPUTS = 256
"""Rows of a weight that the search looks at: more say the same, and take longer."""

LEAST = 1e-4
"""A channel that is hardly ever used counts as this share of the largest: its scale must stay finite."""


class Finding(NamedTuple):
    """Errors of one matmul, rounded to nearest and with `scale`; `None` is no scale, where none helps."""

    group: Group
    nearest: float
    scaled: float
    scale: Scale | None


class Roundings(NamedTuple):
    """By the part of a model; `None` is none."""

    vision: Rounding | None
    decoder: Rounding | None
    head: Rounding | None

    def of(self, part: Part) -> Rounding | None:
        return {"vision": self.vision, "decoder": self.decoder, "head": self.head}[part]


def roundings(device: Device, precision: Precision, vision_precision: VisionPrecision) -> Roundings:
    decoder = DECODER_PRECISIONS[FLAVOURS[device]][precision]
    vision = VISION_PRECISIONS[FLAVOURS[device]][vision_precision]
    return Roundings(vision.matmul.rounding, decoder.matmul.rounding, decoder.head.rounding)


def find(
    model: ModelSource,
    chosen: Iterable[Group],
    by_part: Roundings,
    inputs: Mapping[str, Inputs],
    advance: Callable[[int], None],
    scaled: Collection[Part],
) -> Iterator[Finding]:
    """Those of the chosen matmuls that are rounded; `inputs` by the names of matmuls. `advance` is told of each.

    Scales are looked for in the parts `scaled`.
    """
    for group in chosen:
        rounding = by_part.of(group.part)
        if rounding is not None:
            exponents = EXPONENTS if group.part in scaled else ()
            yield _search(group, _weights(model, group), inputs[group.matmul], rounding, exponents)
        advance(1)


def _weights(model: ModelSource, group: Group) -> Floats:
    """Some of the matmul's outputs, evenly taken: `[n, inputs]`."""
    checkpoint = model.tower if group.part == "vision" else model.weights
    sources = [checkpoint.stored(name) for name in group.tensors]
    step = -(-sum(source.shape[0] for source in sources) // OUTPUTS)
    return np.concatenate([as_float16(source)[::step].astype(np.float32) for source in sources])


def _search(group: Group, weights: Floats, inputs: Inputs, rounding: Rounding, exponents: Sequence[float]) -> Finding:
    exact = inputs.rows @ weights.T
    nearest = best = _error(weights, inputs, rounding, exact)
    chosen = None
    for scale in _scales(weights, inputs, exponents) if group.fed_by else ():
        error = _error(weights * scale, inputs.divided(scale), rounding, exact)
        if error < best:
            best, chosen = error, Scale(group, scale)
    return Finding(group, nearest, best, chosen)


def _scales(weights: Floats, inputs: Inputs, exponents: Sequence[float]) -> Iterator[Floats]:
    largest_weight = _bounded(np.abs(weights).max(axis=0))
    for used in (np.abs(inputs.rows).mean(axis=0), np.maximum(-inputs.low, inputs.high)):
        size = _bounded(used)
        for exponent in exponents:
            for scale in (size**exponent, size**exponent / largest_weight ** (1 - exponent)):
                yield (scale / np.sqrt(scale.max() * scale.min())).astype(np.float32)


def _bounded(sizes: Floats) -> Floats:
    largest = sizes.max() or np.float32(1)
    bounded: Floats = np.maximum(sizes / largest, np.float32(LEAST))
    return bounded


def _error(weights: Floats, inputs: Inputs, rounding: Rounding, exact: Floats) -> float:
    rounded = rounding.activations(inputs) @ rounding.weights(weights).T
    varying = exact - exact.mean(axis=0)
    return float(np.square(rounded - exact).sum() / max(np.square(varying).sum(), np.finfo(np.float32).tiny))
