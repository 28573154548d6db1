"""Where the model comes from when none is named: the embedded demo model, exported once to the user's cache."""

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

from edgevlm_engines import BundleError, EngineLoadError, open_bundle
from edgevlm_engines.manifest import FORMAT
from edgevlm_engines.names import Device
from platformdirs import user_cache_path

DEMO_NAME = "edgevlm-demo"


def find_bundle(named: Path | None) -> Path:
    """The folder that was named, or the demo model's bundle, made if it is not there yet."""
    return demo_bundle() if named is None else named


def demo_bundle(cache: Path | None = None, device: Device = "cpu") -> Path:
    """The demo model's bundle in `cache`; its name changes with the checkpoint, the exporter and the device.

    Raises `EngineLoadError` if it cannot be written there.
    """
    from edgevlm_demo import checkpoint_folder, clip_folder

    key = _fingerprint(device, checkpoint_folder(), clip_folder())
    folder = (cache or user_cache_path("edgevlm")) / f"demo-{key}"
    if not usable(folder):
        _export(checkpoint_folder(), clip_folder(), folder, device)
    return folder


def usable(folder: Path) -> bool:
    """Whether the bundle is there and whole; a damaged one is removed, because a cache is ours to repair."""
    try:
        if not folder.exists():
            return False
        open_bundle(folder)
    except OSError:
        # a cache that is not ours: whoever writes there next says so
        return False
    except BundleError:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


def _export(checkpoint: Path, clip: Path, folder: Path, device: Device) -> None:
    """On a CPU in fp32: the demo model is small, and this is what its answers are measured with."""
    from edgevlm_export.errors import ExportError
    from edgevlm_export.exporter import export_bundle
    from edgevlm_export.graph.precision import DEFAULTS, Pair

    from edgevlm.progress import Bar

    decoder, vision = Pair("fp32", "fp32") if device == "cpu" else DEFAULTS[device]
    try:
        export_bundle(
            checkpoint,
            folder,
            vision_tower=clip,
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
    digest = hashlib.sha256(f"{version('edgevlm')} {FORMAT} {device}".encode())
    for folder in folders:
        for path in sorted(folder.iterdir()):
            digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
