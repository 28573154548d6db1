"""Folders that are filled beside where they will be, and what a kill leaves of them. Knows not what is in them.

Whoever fills one holds it with a lock, which ends with the process: what nobody holds was never finished.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edgevlm_export.folder_lock import held, unused

SUFFIX = ".partial"
_MADE = re.compile(r"\.(?P<target>.+)\.[^.]+" + re.escape(SUFFIX))


@contextmanager
def unfinished_folder(target: Path) -> Iterator[Path]:
    """A new, private folder beside `target`, held until the block ends, then removed unless it was renamed.

    Raises `OSError`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield _made(target, stack)


def _made(target: Path, stack: ExitStack) -> Path:
    """Until it is held, another process may take a folder for one that is left: then the next is tried."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=SUFFIX, dir=target.parent))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with suppress(FileNotFoundError):
            stack.enter_context(held(folder))
            if folder.exists():
                return folder


def is_unfinished(folder: Path, target: str | None = None) -> bool:
    """Whether a name is one that `unfinished_folder` gives, for one target or for any."""
    made = _MADE.fullmatch(folder.name)
    return made is not None and target in (None, made["target"])


def remove_left(parent: Path, target: str | None = None) -> None:
    """Remove unfinished folders in `parent` that nobody holds, as far as this process may."""
    for folder in _folders(parent):
        if is_unfinished(folder, target):
            with unused(folder) as nobody:
                if nobody:
                    shutil.rmtree(folder, ignore_errors=True)


def _folders(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
