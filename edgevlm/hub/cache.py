"""A hub's cache as it lies on this machine, whoever filled it: which checkpoints are whole, and undamaged.

`models--OWNER--NAME` holds `refs/BRANCH` (a commit), `snapshots/COMMIT` (the files, as links) and `blobs`,
whose files are called as their digests: SHA-256 for large ones, git's SHA-1 for the others.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edgevlm_export.checkpoint.checkpoint import WEIGHTS
from edgevlm_export.checkpoint.json_keys import read_json
from edgevlm_export.errors import ExportError

from edgevlm.hub.published import Repository

COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_READ_BYTES = 1 << 20


def repository_folder(repository: Repository) -> Path:
    """Where the hub's cache keeps it, or would."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.id.replace('/', '--')}"


def whole_snapshot(repository: Repository) -> Path | None:
    """One that has all that an export needs: of the revision that is asked for, or else any, the newest first."""
    folder = repository_folder(repository)
    asked = _commit(folder, repository.revision)
    others = sorted(folder.glob("snapshots/*"), key=lambda path: path.stat().st_mtime, reverse=True)
    candidates = [folder / "snapshots" / asked] if asked else []
    return next((path for path in [*candidates, *others] if _is_whole(path, repository.needed)), None)


def _is_whole(snapshot: Path, needed: Iterable[str]) -> bool:
    """A link to a file that is gone counts as missing."""
    small = all((snapshot / name).is_file() for name in needed)
    return small and any(_has_weights(snapshot, *names) for names in WEIGHTS)


def _has_weights(snapshot: Path, single: str, index: str) -> bool:
    if (snapshot / single).is_file():
        return True
    try:
        shards = read_json(snapshot / index).get("weight_map")
    except ExportError:
        return False
    return isinstance(shards, dict) and all((snapshot / str(name)).is_file() for name in set(shards.values()))


def damaged(snapshot: Path, advance: Callable[[int], None] = lambda count: None) -> Iterator[Path]:
    """Files whose content is not what their name says; those that no digest is known of are left out."""
    for path in sorted(snapshot.iterdir()):
        blob = path.resolve()
        if path.is_symlink() and is_digest(blob.name) and digest(blob, blob.name, advance) != blob.name:
            yield blob


def is_digest(name: str) -> bool:
    return bool(_SHA256.fullmatch(name) or COMMIT.fullmatch(name))


def digest(path: Path, like: str, advance: Callable[[int], None] = lambda count: None) -> str:
    """Of the kind that `like` is: SHA-256, or git's of a file. `advance` is told bytes as they are read."""
    if _SHA256.fullmatch(like):
        found = hashlib.sha256()
    else:
        found = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            found.update(block)
            advance(len(block))
    return found.hexdigest()


def _commit(folder: Path, revision: str) -> str | None:
    if COMMIT.fullmatch(revision):
        return revision
    reference = folder / "refs" / revision
    return reference.read_text(encoding="utf-8").strip() if reference.is_file() else None
