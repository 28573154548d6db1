"""Where the model comes from when none is named: the embedded demo model, exported once to the user's cache."""

import hashlib
from pathlib import Path

from edgevlm_engines import EngineLoadError
from edgevlm_engines.manifest import FORMAT
from edgevlm_engines.names import Device
from edgevlm_export.folder_lock import hold
from edgevlm_server.version import version

from edgevlm.cache.folder import cache_folder, usable

DEMO_NAME = "edgevlm-demo"


def find_bundle(named: Path | None) -> Path:
    """The folder that was named, or the demo model's bundle, made if it is not there yet."""
    return demo_bundle() if named is None else named


def demo_bundle(cache: Path | None = None, device: Device = "cpu") -> Path:
    """The demo model's bundle in `cache`, by default the user's, made if it is not there yet.

    Raises `EngineLoadError` if it cannot be written there.
    """
    folder = demo_folder(cache or cache_folder(), device)
    if not usable(folder):
        _export(folder, device)
        hold(folder)
    return folder


def demo_folder(cache: Path, device: Device) -> Path:
    """Where that bundle is; its name changes with the checkpoint, the exporter and the device."""
    from edgevlm_demo import checkpoint_folder, clip_folder

    return cache / f"demo-{_fingerprint(device, checkpoint_folder(), clip_folder())}"


def _export(folder: Path, device: Device) -> None:
    """On a CPU in fp32: the demo model is small, and this is what its answers are measured with."""
    from edgevlm_demo import checkpoint_folder, clip_folder
    from edgevlm_export.errors import ExportError
    from edgevlm_export.exporter import export_bundle
    from edgevlm_export.graph.precision import DEFAULTS, Pair

    from edgevlm.progress import Bar

    decoder, vision = Pair("fp32", "fp32") if device == "cpu" else DEFAULTS[device]
    try:
        export_bundle(
            checkpoint_folder(),
            folder,
            vision_tower=clip_folder(),
            device=device,
            precision=decoder,
            vision_precision=vision,
            name=DEMO_NAME,
            progress=Bar("Exporting the demo model"),
        )
    except ExportError as error:
        # another process may have been quicker with the same files
        if not usable(folder):
            raise EngineLoadError(str(error)) from None


def _fingerprint(device: Device, *folders: Path) -> str:
    digest = hashlib.sha256(f"{version()} {FORMAT} {device}".encode())
    for folder in folders:
        for path in sorted(folder.iterdir()):
            digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
