"""What would run on a machine: for which device to export, what each model would take, and reach at best."""

from dataclasses import dataclass

from edgevlm_engines import Demand, Manifest, engine_for, fewer_slots, model_place, plan_memory, provider_for
from edgevlm_engines.bundle import DECODER_WEIGHTS, EMBEDDING, VISION_WEIGHTS
from edgevlm_engines.manifest import MOST_SLOTS, Decoder, File, Preprocessing, Prompt, Vision
from edgevlm_engines.memory_plan import position_bytes
from edgevlm_engines.names import Device, Precision
from edgevlm_engines.plan_cache import NATIVE_SINCE
from edgevlm_engines.version import version_numbers

from edgevlm.doctor.ceilings import (
    FASTEST,
    MODELS,
    PAST,
    PRECISIONS,
    Model,
    bandwidth,
    tokens_a_second,
    weight_bytes,
)
from edgevlm.doctor.survey import Survey

SPLIT_SINCE = (10, 3)
LENGTH = 2048
"""Positions of a slot, as the published models hold them."""

IMAGE, PATCH, TOWER_WIDTH, TOWER_INNER, TOWER_LAYERS, IMAGE_TOKENS = 336, 14, 1024, 4096, 23, 144
"""CLIP's ViT-L/14-336 without its last layer, which is never run."""


@dataclass(frozen=True, slots=True)
class Fit:
    """`ceiling` in tokens/s for one slot with `PAST` positions; `slots` of those asked for find room in memory.

    Both are `None` where the machine does not say what they follow from.
    """

    model: str
    precision: str
    weights: int
    ceiling: float | None
    slots: int | None


def memory_bandwidth(survey: Survey) -> float | None:
    """Bytes a second at the memory's highest clock that is allowed now; `None` for a module that is not known."""
    bits, active, clock = survey.board.bus_bits, survey.power.active, survey.device.clock("emc")
    if bits is None:
        return None
    limits = (clock and clock.most, active and active.emc, FASTEST)
    return bandwidth(bits, next(limit for limit in limits if limit))


def export_device(survey: Survey) -> Device | None:
    """What to name in `edgevlm export --device`; `None` on a Jetson for which there is nothing."""
    if not survey.board.jetson:
        if runs_rtx(survey):
            return "rtx"
        cuda = survey.board.driver is not None and "CUDAExecutionProvider" in survey.software.providers
        return "cuda" if cuda else "cpu"
    if survey.software.tensorrt is not None:
        version = version_numbers(survey.software.tensorrt.version)
        return "jetpack7" if version >= NATIVE_SINCE else "jetpack6" if version >= SPLIT_SINCE else None
    numbers = survey.board.release_numbers
    return "jetpack7" if numbers >= (39,) else "jetpack6" if (36, 4) <= numbers < (37,) else None


def runs_rtx(survey: Survey) -> bool:
    """Whether this is a PC on which TensorRT-RTX was found to work."""
    software = survey.software
    found = software.tensorrt is None and software.tensorrt_rtx is not None
    return not survey.board.jetson and found and software.target is not None and software.target.done


def published_fits(survey: Survey, device: Device, demand: Demand) -> list[Fit]:
    """Each published model in each precision that TensorRT runs."""
    speed = memory_bandwidth(survey)
    return [
        bundle_fit(published_manifest(model, precision, device), demand, survey, speed)
        for model in MODELS
        for precision in PRECISIONS
    ]


def bundle_fit(manifest: Manifest, demand: Demand, survey: Survey, speed: float | None) -> Fit:
    """Of a bundle, from the sizes of its files."""
    weights = manifest.files[DECODER_WEIGHTS].size
    return Fit(
        model=manifest.model,
        precision=manifest.precision,
        weights=weights,
        ceiling=tokens_a_second(weights, PAST * position_bytes(manifest), speed) if speed else None,
        slots=slots_that_fit(manifest, demand, survey),
    )


def slots_that_fit(manifest: Manifest, demand: Demand, survey: Survey) -> int | None:
    """How many of the slots that were asked for find room in the memory that is available now."""
    available = survey.memory.available
    if available is None:
        return None
    place = model_place(engine_for(manifest, None), provider_for(manifest, None), survey.board.machine)
    if plan_memory(manifest, demand, place).total <= available:
        return demand.slots
    fewer = fewer_slots(manifest, demand, place, available)
    return fewer.slots if fewer else 0


def published_manifest(model: Model, precision: Precision, device: Device) -> Manifest:
    """As an export of a published checkpoint would write it, with files of sizes on paper."""
    from edgevlm_export.graph.precision import DEFAULTS, FLAVOURS

    sizes = {
        DECODER_WEIGHTS: weight_bytes(model, precision),
        VISION_WEIGHTS: 2 * _vision_weights(model),
        EMBEDDING: 2 * model.head,
    }
    return Manifest(
        model=f"MobileVLM_V2-{model.name}",
        family="mobilevlm_v2",
        flavour=FLAVOURS[device],
        device=device,
        precision=precision,
        vision_precision=DEFAULTS[device].vision,
        max_slots=MOST_SLOTS,
        max_length=LENGTH,
        decoder=_decoder(model),
        vision=Vision(
            hidden_size=TOWER_WIDTH,
            layers=TOWER_LAYERS,
            heads=16,
            patch_size=PATCH,
            projector="ldpnetv2",
            image_tokens=IMAGE_TOKENS,
        ),
        preprocessing=Preprocessing(size=IMAGE, mean=(0, 0, 0), std=(1, 1, 1), pad_colour=(0, 0, 0)),
        prompt=Prompt(template="v1", system="", legacy=True, bos_id=1, eos_id=2, stop_ids=(2,)),
        exporter="none: sizes on paper",
        sources=(),
        files={name: File(size=size, sha256="0" * 64) for name, size in sizes.items()},
    )


def _decoder(model: Model) -> Decoder:
    return Decoder(
        hidden_size=model.width,
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.heads,
        head_dim=model.width // model.heads,
        intermediate_size=model.inner,
        vocab_size=model.vocabulary,
        rms_norm_eps=1e-6,
        rope_theta=10_000,
    )


def _vision_weights(model: Model) -> int:
    """The tower's layers, its patches and positions, and the two large matmuls of the projector."""
    layer = 4 * TOWER_WIDTH**2 + 2 * TOWER_WIDTH * TOWER_INNER
    patches = (3 * PATCH**2 + (IMAGE // PATCH) ** 2 + 1) * TOWER_WIDTH
    return TOWER_LAYERS * layer + patches + TOWER_WIDTH * model.width + model.width**2
