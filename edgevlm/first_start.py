"""What a server serves: a bundle as it is; a checkpoint, a published one or the demo model as a bundle, made once."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_engines import BundleError, EngineError, EngineLoadError, NotNow, Unreadable, check_sizes
from edgevlm_engines.bundle import MANIFEST
from edgevlm_engines.manifest import FORMAT
from edgevlm_engines.names import Device
from edgevlm_export.checkpoint.name import model_name
from edgevlm_export.folder_lock import alone, hold
from edgevlm_export.unfinished import remove_left
from edgevlm_server.version import version

from edgevlm.cache.folder import cache_folder, usable
from edgevlm.conversion import Conversion
from edgevlm.demo_bundle import demo_bundle
from edgevlm.errors import CommandError
from edgevlm.hub.published import MODELS, Published, published

if TYPE_CHECKING:
    from edgevlm_server.model import Model
    from edgevlm_server.settings import Settings

log = logging.getLogger(__name__)

CONFIG = "config.json"
"""What a checkpoint has, and a bundle does not."""


def is_checkpoint(folder: Path) -> bool:
    # these never raise: a folder that may not be entered is no checkpoint, and reading it says why
    return os.path.isfile(folder / CONFIG) and not os.path.isfile(folder / MANIFEST)


def check_conversion(named: Path | None, conversion: Conversion) -> None:
    """Refuse options that would do nothing. Raises `CommandError`."""
    from_checkpoint = named is not None and (is_checkpoint(named) or published(named) is not None)
    if conversion != Conversion() and not from_checkpoint:
        raise CommandError(
            "--device, --vision-tower, --lora, --precision, --vision-precision and --about say how a checkpoint is "
            "converted, but no checkpoint was given; leave them out."
        )


def served_bundle(
    named: Path | None, settings: "Settings", conversion: Conversion, cache: Path | None = None
) -> Path:
    """The bundle to load; `cache` is where one is made, by default the user's. Raises `EngineLoadError`."""
    if named is not None and (model := published(named)) is not None:
        named, conversion = _pulled(model, conversion)
    if named is not None and not is_checkpoint(named):
        if named.name == str(named) and not os.path.exists(named):
            names = ", ".join(MODELS)
            raise EngineLoadError(
                f"{named} is not a bundle: there is no such folder, and the published models are {names}."
            )
        remove_left(named.parent, named.name)
        return named
    device, cache = conversion.device or this_device(settings), cache or cache_folder()
    bundle = demo_bundle(cache, device) if named is None else _exported(named, conversion, device, cache)
    # a cache is ours, whichever version left something unfinished there
    remove_left(cache)
    return bundle


def loaded(find: Callable[[], Path], named: Path | None, load: Callable[[Path], "Model"]) -> "Model":
    """The model of the bundle that `find` finds; one that was not named is of a cache, and made again if damaged.

    Raises `EngineError`.
    """
    bundle = find()
    try:
        return load(bundle)
    except Unreadable:
        raise
    except BundleError as error:
        if bundle == named:
            raise
        log.warning("The cached bundle is made again: %s", error)
        shutil.rmtree(bundle, ignore_errors=True)
    return load(find())


def _pulled(model: Published, conversion: Conversion) -> tuple[Path, Conversion]:
    """Its checkpoint in the hub's cache, fetched if it is not there, with the vision tower that belongs to it."""
    from edgevlm.hub.errors import HubError, Unreachable
    from edgevlm.hub.pull import pull
    from edgevlm.progress import Lines

    try:
        checkpoint, vision_tower = pull(model, log.info, Lines)
    except Unreachable as error:
        raise NotNow(str(error)) from None
    except HubError as error:
        raise EngineLoadError(str(error)) from None
    return checkpoint, replace(conversion, vision_tower=conversion.vision_tower or vision_tower)


def this_device(settings: "Settings") -> Device:
    """For which device to export on this machine: TensorRT where it runs, else ONNX Runtime.

    ONNX Runtime's GPU is used where it is asked for.

    Raises `EngineLoadError` if TensorRT is all there is, and cannot run, and `NotNow` if others hold the GPU.
    """
    asked_for_ort = settings.engine in ("ort", "echo") or (settings.engine is None and settings.provider is not None)
    if asked_for_ort or (settings.engine is None and not _has_tensorrt()):
        return "cuda" if settings.provider == "cuda" else "cpu"
    from edgevlm_engines.plan_cache import device_for
    from edgevlm_engines.trt.target import this_target

    try:
        target = this_target()
    except NotNow:
        raise
    except EngineError as error:
        if settings.engine == "trt" or find_spec("onnxruntime") is None:
            raise
        log.warning("TensorRT cannot run here, and the CPU is used: %s", error)
        return "cpu"
    return device_for(target)


def _has_tensorrt() -> bool:
    return any(find_spec(name) is not None for name in ("tensorrt", "tensorrt_rtx"))


def _exported(checkpoint: Path, conversion: Conversion, device: Device, cache: Path) -> Path:
    from edgevlm_export.errors import ExportError

    bundle = cache / f"{model_name(checkpoint)}-{_key(checkpoint, conversion, device)}"
    # whoever loads it hashes its files
    if usable(bundle, check_sizes):
        return bundle
    advice = f"make it writable, or serve a bundle made with 'edgevlm export {checkpoint} BUNDLE --device {device}'"
    try:
        with alone(cache, advice, _waiting):
            if not usable(bundle, check_sizes):
                _export(checkpoint, bundle, conversion, device)
                hold(bundle)
    except (ExportError, CommandError) as error:
        raise EngineLoadError(str(error)) from None
    return bundle


def _export(checkpoint: Path, bundle: Path, conversion: Conversion, device: Device) -> None:
    from edgevlm_export.graph.precision import DEFAULTS

    from edgevlm.accuracy.calibration import encoder_findings, write
    from edgevlm.accuracy.recipe import Recipe
    from edgevlm.progress import Lines

    default = DEFAULTS[device]
    recipe = Recipe(
        checkpoint=checkpoint,
        device=device,
        precision=conversion.precision or default.decoder,
        vision_precision=conversion.vision_precision or default.vision,
        bar=lambda title, unit: Lines(title),
        vision_tower=conversion.vision_tower,
        lora=conversion.lora,
        about=conversion.about,
    )
    log.info("Exporting %s for %s into %s; this happens once.", checkpoint, device, bundle)
    written = write(recipe, bundle, encoder_findings(recipe, bundle))
    if written.summary:
        log.info("%s", written.summary)


def _key(checkpoint: Path, conversion: Conversion, device: Device) -> str:
    """Changes with the files, as their sizes and times tell: to hash gigabytes at every start would take too long."""
    scales = [scale for _, scale in conversion.lora]
    parts = [version(), FORMAT, device, conversion.precision, conversion.vision_precision, *scales]
    digest = hashlib.sha256(repr(parts).encode())
    sources = (checkpoint, conversion.vision_tower, conversion.about, *(folder for folder, _ in conversion.lora))
    for source in sources:
        digest.update(os.fsencode("\n".join(_stamps(source) if source else ["none"])) + b"\n\n")
    return digest.hexdigest()[:16]


def _stamps(source: Path) -> Iterator[str]:
    """Of a folder's files, or of a file."""
    # one that is not there is refused by the export, with its own sentence
    for path in sorted(source.iterdir()) if source.is_dir() else [source] if source.is_file() else []:
        # what else lies there, a repository or a log's folder, changes by itself
        if not path.is_file():
            continue
        status = path.stat()
        yield f"{path.name}:{status.st_size}:{status.st_mtime_ns}"


def _waiting() -> None:
    log.info("Another process is making a bundle; waiting for it.")
