"""TensorRT plans as a cache beside a bundle: what they are named after, whether they may be used. Knows no TensorRT.

A plan is code and weights for one GPU and one version of TensorRT. `<bundle>.plans` holds a folder for each key, with
`decoder.plan`, `vision.plan` and `plan.json`, which says what they were built from and for.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from edgevlm_engines.bundle import DECODER, DECODER_WEIGHTS, VISION, VISION_WEIGHTS, Bundle, file_digest
from edgevlm_engines.errors import BundleError, PlanError, PlanMissing
from edgevlm_engines.manifest import File, Manifest

FORMAT: Literal[1] = 1
"""Of `plan.json`, and of what the builder makes of a graph: raised when plans of before must not be used."""

CHUNK = 64
"""Positions in one prefill call: few enough not to hold up other slots' next token."""

IMAGES = 4
"""Pictures in one call of the vision encoder."""

POSITIONS = 64
"""A slot's capacity is a multiple of this, so that every slot of a cache begins at an address that TensorRT takes."""

SMALLEST_WINDOW = 256

DECODER_PLAN = "decoder.plan"
VISION_PLAN = "vision.plan"
SIDECAR = "plan.json"
NATIVE_SINCE = (10, 15)
"""The first TensorRT with an operator that updates a cache in place."""

AGAIN = "run 'edgevlm build' again"

_GRAPHS = (DECODER, DECODER_WEIGHTS, VISION, VISION_WEIGHTS)


class PlanShape(NamedTuple):
    """What the plans allow: slots, positions of one slot, positions of one prefill, pictures of one call."""

    slots: int
    capacity: int
    chunk: int = CHUNK
    images: int = IMAGES


class Target(NamedTuple):
    """What runs the plans: TensorRT's whole version, the GPU's name, its compute capability as `8.7`, and the
    system's release, empty if it says none."""

    tensorrt: str
    device: str
    compute: str
    release: str = ""


class Sidecar(BaseModel):
    """The content of `plan.json`; `sources` are digests of the bundle's files, `files` the plans."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    key: str
    model: str
    flavour: str
    precision: str
    vision_precision: str
    slots: int
    capacity: int
    chunk: int
    images: int
    tensorrt: str
    device: str
    compute: str
    release: str
    sources: dict[str, str]
    files: dict[str, File]

    @property
    def shape(self) -> PlanShape:
        return PlanShape(self.slots, self.capacity, self.chunk, self.images)

    @property
    def target(self) -> Target:
        return Target(self.tensorrt, self.device, self.compute, self.release)


class Plans(NamedTuple):
    """Paths of two plans that had their sizes and digests when they were opened."""

    decoder: Path
    vision: Path


def capacity(max_length: int) -> int:
    """Positions that a slot of the cache has for prompts and answers of `max_length`."""
    return -(-max_length // POSITIONS) * POSITIONS


def windows(capacity: int) -> tuple[int, ...]:
    """Lengths of cache that a step may attend to, rising: a step costs what its window costs, not the whole slot."""
    sizes = []
    size = SMALLEST_WINDOW
    while size < capacity:
        sizes.append(size)
        size *= 2
    return (*sizes, capacity)


def plan_shape(slots: int, max_length: int) -> PlanShape:
    """The shape for a server with `slots` slots of `max_length` positions."""
    return PlanShape(slots, capacity(max_length))


def plan_folder(bundle: Path, chosen: Path | None = None) -> Path:
    """Where a bundle's plans are: the folder that was chosen, or one beside the bundle."""
    return chosen if chosen is not None else bundle.resolve().with_name(f"{bundle.resolve().name}.plans")


def plan_key(manifest: Manifest, shape: PlanShape, target: Target) -> str:
    """A name that changes with everything that a plan depends on."""
    parts = {
        "format": FORMAT,
        "flavour": manifest.flavour,
        "precisions": [manifest.precision, manifest.vision_precision],
        "shape": shape._asdict(),
        "target": target._asdict(),
        "sources": sources(manifest),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def sources(manifest: Manifest) -> dict[str, str]:
    """Digest of every file that a plan is built from."""
    return {name: manifest.files[name].sha256 for name in _GRAPHS}


def describe(manifest: Manifest, shape: PlanShape, target: Target, files: Mapping[str, File]) -> Sidecar:
    """The sidecar of plans just built."""
    return Sidecar(
        key=plan_key(manifest, shape, target),
        model=manifest.model,
        flavour=manifest.flavour,
        precision=manifest.precision,
        vision_precision=manifest.vision_precision,
        **shape._asdict(),
        **target._asdict(),
        sources=sources(manifest),
        files=dict(files),
    )


def open_plans(
    folder: Path,
    bundle: Bundle,
    shape: PlanShape,
    target: Target,
    progress: Callable[[int], None] = lambda count: None,
) -> Plans:
    """Check everything about a bundle's plans in the plans folder `folder`, before any byte of them is deserialised.

    `progress` is told the number of bytes just verified. Raises `PlanMissing` where `edgevlm build` has not made
    them for this shape and target, `PlanError` where they must not be used; each with one sentence.
    """
    plans, sidecar = _find(folder, bundle, shape, target)
    for path in plans:
        _check_digest(path, sidecar.files[path.name], progress)
    return plans


def has_plans(folder: Path, bundle: Bundle, shape: PlanShape, target: Target) -> bool:
    """Whether `open_plans` would find them, as far as that shows without reading gigabytes.

    Raises `PlanError` if building them would not help.
    """
    check_flavour(bundle.manifest, target)
    try:
        _find(folder, bundle, shape, target)
    except PlanError:
        return False
    return True


def check_flavour(manifest: Manifest, target: Target) -> None:
    """Raise `PlanError` for a graph that this TensorRT cannot run, whoever built it."""
    if manifest.flavour == "ort":
        raise PlanError(
            f"The bundle of {manifest.model} was exported for {manifest.device}, and TensorRT does not run it; "
            "export it with --device jetpack6 or jetpack7."
        )
    if manifest.flavour == "trt-native" and version_numbers(target.tensorrt) < NATIVE_SINCE:
        least = ".".join(map(str, NATIVE_SINCE))
        raise PlanError(
            f"This bundle updates its cache with an operator that TensorRT has from {least} on, and this is "
            f"{target.tensorrt}; export it with --device jetpack6."
        )


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to be compared: `10.3.0.30` -> `(10, 3, 0, 30)`."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _find(folder: Path, bundle: Bundle, shape: PlanShape, target: Target) -> tuple[Plans, Sidecar]:
    """Everything but the digests, and all sizes: a truncated plan is refused at once, not after hashing gigabytes."""
    check_flavour(bundle.manifest, target)
    expected = plan_key(bundle.manifest, shape, target)
    own = folder / expected
    if not own.is_dir():
        raise PlanMissing(_missing(folder, bundle, shape, target))
    sidecar = _read(own / SIDECAR)
    if reason := _difference(sidecar, bundle.manifest, shape, target):
        raise PlanError(f"The plans in {own} cannot be used: they were built {reason}; {AGAIN}.")
    if set(sidecar.files) != {DECODER_PLAN, VISION_PLAN} or sidecar.key != expected:
        raise PlanError(f"{own / SIDECAR} does not belong to these plans; {AGAIN}.")
    plans = Plans(own / DECODER_PLAN, own / VISION_PLAN)
    for path in plans:
        _check_size(path, sidecar.files[path.name])
    return plans, sidecar


def _read(path: Path) -> Sidecar:
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}; {AGAIN}.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise PlanError(f"{path} cannot be used: {where}: {first['msg']}; {AGAIN}.") from None


def _difference(sidecar: Sidecar, manifest: Manifest, shape: PlanShape, target: Target) -> str | None:
    """What the plans were built for that is not so here; `None` if all is the same."""
    pairs = (
        ("for TensorRT {}, and this is {}", sidecar.target.tensorrt, target.tensorrt),
        ("on {}, and this is {}", _device(sidecar.target), _device(target)),
        ("under release {} of the system, and this is {}", sidecar.target.release, target.release),
        ("for the flavour {}, and the bundle has {}", sidecar.flavour, manifest.flavour),
        ("for {} slots of the cache, and {} are asked for", sidecar.shape.slots, shape.slots),
        ("for slots of {} positions, and {} are asked for", sidecar.shape.capacity, shape.capacity),
    )
    for text, built, here in pairs:
        if built != here:
            return text.format(built or "none", here or "none")
    same = (sidecar.shape, sidecar.sources) == (shape, sources(manifest))
    precisions = (sidecar.precision, sidecar.vision_precision) == (manifest.precision, manifest.vision_precision)
    return None if same and precisions else "from other graphs or lengths of calls"


def _device(target: Target) -> str:
    return f"{target.device} (compute capability {target.compute})"


def _missing(folder: Path, bundle: Bundle, shape: PlanShape, target: Target) -> str:
    """With the reason why those that are there do not serve, if there are any."""
    start = f"{folder} has no TensorRT plans for {bundle.folder} on this device"
    length = min(shape.capacity, bundle.manifest.max_length)
    command = f"run 'edgevlm build {bundle.folder} --max-batch {shape.slots} --max-length {length}'."
    for path in sorted(folder.glob(f"*/{SIDECAR}")):
        try:
            reason = _difference(_read(path), bundle.manifest, shape, target)
        except PlanError:
            continue
        if reason:
            return f"{start}: those in {path.parent.name} were built {reason}; {command}"
    return f"{start}; {command}"


def _check_size(path: Path, expected: File) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        raise PlanError(f"{path} is missing; {AGAIN}.") from None
    if size != expected.size:
        raise PlanError(f"{path} is damaged: it has {size} bytes, {SIDECAR} says {expected.size}; {AGAIN}.")


def _check_digest(path: Path, expected: File, progress: Callable[[int], None]) -> None:
    try:
        digest = file_digest(path, progress)
    except BundleError as error:
        raise PlanError(str(error)) from None
    if digest != expected.sha256:
        raise PlanError(f"{path} is damaged: its SHA-256 is not that in {SIDECAR}; {AGAIN}.")
