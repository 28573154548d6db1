"""What lies in a cache, and what of it this version can never use. Reads small files; removes nothing.

The name of a cached bundle changes with the version, so one that another version made is never found again. Plans
belong to a bundle's files and to one TensorRT on one GPU.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

from edgevlm_engines import BundleError, Manifest, read_manifest
from edgevlm_engines.bundle import MANIFEST
from edgevlm_engines.manifest import FORMAT
from edgevlm_engines.names import Device
from edgevlm_engines.plan_cache import SIDECAR, Target, plan_folder
from edgevlm_engines.plan_cache.key import FORMAT as PLAN_FORMAT
from edgevlm_engines.plan_cache.key import sources
from edgevlm_export.folder_lock import unused
from edgevlm_export.unfinished import is_unfinished
from edgevlm_server.version import version

from edgevlm.cache.folder import cache_folder
from edgevlm.demo_bundle import DEMO_NAME, demo_folder

PLANS = ".plans"


class Entry(NamedTuple):
    """One folder: `size` in bytes, `used` in seconds since 1970, `useless` says why this version can never use it."""

    path: Path
    kind: str
    size: int
    made_by: str
    used: float
    useless: str | None


def entries(bundle: Path | None, chosen: Path | None, target: Target | None) -> Iterator[Entry]:
    """Of the user's cache and the plans folder that was chosen, if one was; or the plans of one bundle.

    `target` is what plans would run on here, `None` if that is not known. Raises `BundleError` for no bundle.
    """
    if bundle is not None:
        yield from plans(plan_folder(bundle, chosen), read_manifest(bundle), target)
        return
    yield from cached(cache_folder(), target)
    if chosen is not None:
        yield from plans(chosen, None, target)


def cached(folder: Path, target: Target | None) -> Iterator[Entry]:
    """Everything in a cache folder."""
    for path in _folders(folder):
        if is_unfinished(path):
            yield _left(path)
        elif path.name.endswith(PLANS):
            yield from _plans_beside(path, target)
        elif (path / MANIFEST).is_file():
            yield _bundle(path)


def plans(folder: Path, manifest: Manifest | None, target: Target | None) -> Iterator[Entry]:
    """Everything in a folder of plans; `manifest` is the bundle's if all of them belong to one."""
    for path in _folders(folder):
        if is_unfinished(path):
            yield _left(path)
        elif (path / SIDECAR).is_file():
            yield _plan(path, manifest, target)


def _bundle(path: Path) -> Entry:
    manifest = _json(path / MANIFEST)
    exporter, made_in = manifest.get("exporter", "unknown"), manifest.get("format", "unknown")
    demo = manifest.get("model") == DEMO_NAME and path.name.startswith("demo-")
    useless = None
    if made_in != FORMAT:
        useless = f"it has format {made_in}, and this version reads {FORMAT}"
    elif exporter != f"edgevlm {version()}":
        useless = f"it was made by {exporter}"
    elif not _readable(path):
        useless = "its manifest is damaged"
    elif demo and path not in {demo_folder(path.parent, device) for device in get_args(Device)}:
        useless = "it was made from another demo model"
    return _entry(path, "demo bundle" if demo else "bundle", f"{exporter}, format {made_in}", useless)


def _readable(bundle: Path) -> bool:
    try:
        read_manifest(bundle)
    except BundleError:
        return False
    return True


def _plans_beside(path: Path, target: Target | None) -> Iterator[Entry]:
    """Plans of a bundle in the same cache; if that is of no use, nor are they, nor what helped to build them."""
    bundle = path.with_name(path.name.removesuffix(PLANS))
    if not (bundle / MANIFEST).is_file():
        yield _entry(path, "plans", "", "its bundle is gone")
    elif _bundle(bundle).useless:
        yield _entry(path, "plans", "", "its bundle cannot be used")
    else:
        yield from plans(path, read_manifest(bundle), target)


def _plan(path: Path, manifest: Manifest | None, target: Target | None) -> Entry:
    sidecar = _json(path / SIDECAR)
    made_in = sidecar.get("format", "unknown")
    built = Target(*(str(sidecar.get(name, "")) for name in Target._fields))
    useless = None
    if made_in != PLAN_FORMAT:
        useless = f"it has format {made_in}, and this version reads {PLAN_FORMAT}"
    elif manifest is not None and sidecar.get("sources") != sources(manifest):
        useless = "it was built from other files than the bundle has"
    elif target is not None and built.library == target.library and built != target:
        useless = f"it was built for {_described(built)}, and this is {_described(target)}"
    made_by = built.software if built.tensorrt else "TensorRT unknown"
    return _entry(path, "plans", f"{made_by}, format {made_in}", useless)


def _described(target: Target) -> str:
    release = f" and {target.release}" if target.release else ""
    return f"{target.software} on {target.device}{release}"


def _left(path: Path) -> Entry:
    """What somebody is writing now, or did not finish."""
    with unused(path) as nobody:
        return _entry(path, "unfinished", "", "it was never finished" if nobody else None)


def _entry(path: Path, kind: str, made_by: str, useless: str | None) -> Entry:
    return Entry(path, kind, _size(path), made_by, path.stat().st_mtime, useless)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _json(path: Path) -> dict[str, Any]:
    """Empty if it cannot be read."""
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
