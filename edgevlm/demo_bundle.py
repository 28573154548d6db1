"""Where the model comes from when none is named: the embedded demo model, exported once to the user's cache."""

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

from edgevlm_engines import BundleError, read_manifest
from platformdirs import user_cache_path

DEMO_NAME = "edgevlm-demo"


def find_bundle(named: Path | None) -> Path:
    """The folder that was named, or the demo model's bundle, made if it is not there yet."""
    return demo_bundle() if named is None else named


def demo_bundle(cache: Path | None = None) -> Path:
    """The demo model's bundle in `cache`; its name changes with the checkpoint and with the exporter."""
    from edgevlm_demo import checkpoint_folder, clip_folder

    folder = (cache or user_cache_path("edgevlm")) / f"demo-{_fingerprint(checkpoint_folder(), clip_folder())}"
    if folder.exists():
        try:
            read_manifest(folder)
            return folder
        except BundleError:
            # a cache is ours to repair
            shutil.rmtree(folder)
    from edgevlm_export.exporter import export_bundle

    from edgevlm.progress import Bar

    export_bundle(
        checkpoint_folder(),
        folder,
        vision_tower=clip_folder(),
        name=DEMO_NAME,
        progress=Bar("Exporting the demo model"),
    )
    return folder


def _fingerprint(*folders: Path) -> str:
    digest = hashlib.sha256(version("edgevlm").encode())
    for folder in folders:
        for path in sorted(folder.iterdir()):
            digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
