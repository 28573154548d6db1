"""Where bundles are cached, and whether one that is there can be used. Knows not how they are made."""

import shutil
from collections.abc import Callable
from pathlib import Path

from edgevlm_engines import BundleError, EngineLoadError, Unreadable, open_bundle
from edgevlm_export.folder_lock import hold
from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The user's, as the system has it. Raises `EngineLoadError` where the user has none."""
    try:
        folder = user_cache_path("edgevlm")
    except RuntimeError:
        folder = Path("~")
    # earlier versions of the library leave the mark for a home as it is
    if folder.parts[0] == "~":
        raise EngineLoadError(
            "There is no home folder to keep converted models in: HOME is not set, and the system does not know this "
            "user. Set XDG_CACHE_HOME to a folder that can be written."
        )
    return folder


def usable(bundle: Path, check: Callable[[Path], object] = open_bundle) -> bool:
    """Whether the bundle is there and whole; a damaged one is removed, because a cache is ours to repair.

    From then on it counts as used, until this process ends. Raises `Unreadable`: what cannot be read may be whole.
    """
    try:
        if not bundle.exists():
            return False
        hold(bundle)
        check(bundle)
    except Unreadable:
        raise
    except OSError:
        # a cache that is not ours: whoever writes there next says so
        return False
    except BundleError:
        shutil.rmtree(bundle, ignore_errors=True)
        return False
    return True
