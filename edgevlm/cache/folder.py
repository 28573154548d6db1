"""Where bundles are cached, and whether one that is there can be used. Knows not how they are made."""

import shutil
from pathlib import Path

from edgevlm_engines import BundleError, open_bundle
from edgevlm_export.folder_lock import hold
from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The user's, as the system has it."""
    return user_cache_path("edgevlm")


def usable(bundle: Path) -> bool:
    """Whether the bundle is there and whole; a damaged one is removed, because a cache is ours to repair.

    From then on it counts as used, until this process ends.
    """
    try:
        if not bundle.exists():
            return False
        hold(bundle)
        open_bundle(bundle)
    except OSError:
        # a cache that is not ours: whoever writes there next says so
        return False
    except BundleError:
        shutil.rmtree(bundle, ignore_errors=True)
        return False
    return True
