"""The plan cache's folders: what `plan.json` says of plans, and whether they may be used. Knows no TensorRT.

`<bundle>.plans` holds a folder for each key, with `decoder.plan`, `vision.plan` and `plan.json`, which says what they
were built from and for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from edgevlm_engines.bundle import Bundle, file_digest
from edgevlm_engines.errors import BundleError, PlanError, PlanMissing
from edgevlm_engines.manifest import File, Manifest
from edgevlm_engines.plan_cache.key import FORMAT, PlanShape, Target, check_flavour, plan_key, sources

DECODER_PLAN = "decoder.plan"
VISION_PLAN = "vision.plan"
SIDECAR = "plan.json"
AGAIN = "run 'edgevlm build' again"


class Sidecar(BaseModel):
    """The content of `plan.json`; `sources` are digests of the bundle's files, `files` the plans."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[3] = FORMAT
    key: str
    model: str
    flavour: str
    precision: str
    vision_precision: str
    slots: int
    capacity: int
    chunk: int
    library: str
    tensorrt: str
    device: str
    compute: str
    release: str
    sources: dict[str, str]
    files: dict[str, File]

    @property
    def shape(self) -> PlanShape:
        return PlanShape(self.slots, self.capacity, self.chunk)

    @property
    def target(self) -> Target:
        return Target(self.tensorrt, self.device, self.compute, self.release, self.library)


class PlanFiles(NamedTuple):
    """Paths of two plans that had their sizes and digests when they were opened."""

    decoder: Path
    vision: Path


def plan_folder(bundle: Path, chosen: Path | None = None) -> Path:
    """Where a bundle's plans are: the folder that was chosen, or one beside the bundle."""
    return chosen if chosen is not None else bundle.resolve().with_name(f"{bundle.resolve().name}.plans")


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


def open_plans(folder: Path, bundle: Bundle, shape: PlanShape, target: Target) -> PlanFiles:
    """Check everything about a bundle's plans in the plans folder `folder`, before any byte of them is deserialised.

    Raises `PlanMissing` where `edgevlm build` has not made them for this shape and target, `PlanError` where they
    must not be used; each with one sentence.
    """
    plans, sidecar = _find(folder, bundle, shape, target)
    for path in plans:
        _check_digest(path, sidecar.files[path.name])
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


def _find(folder: Path, bundle: Bundle, shape: PlanShape, target: Target) -> tuple[PlanFiles, Sidecar]:
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
    plans = PlanFiles(own / DECODER_PLAN, own / VISION_PLAN)
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
        ("for {}, and this is {}", sidecar.target.software, target.software),
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


def _check_digest(path: Path, expected: File) -> None:
    try:
        digest = file_digest(path)
    except BundleError as error:
        raise PlanError(str(error)) from None
    if digest != expected.sha256:
        raise PlanError(f"{path} is damaged: its SHA-256 is {digest}, {SIDECAR} says {expected.sha256}; {AGAIN}.")
