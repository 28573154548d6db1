"""A published model on this machine: in the hub's cache as it lies, or fetched into it and checked."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgevlm_engines import size_text
from edgevlm_export.bundle_writer import Progress

from edgevlm.hub.cache import damaged, repository_folder, whole_snapshot
from edgevlm.hub.download import download
from edgevlm.hub.errors import HubError, explained
from edgevlm.hub.listing import Listing, list_files
from edgevlm.hub.published import Published, Repository

Tell = Callable[[str], None]
"""Shows one line."""
Reports = Callable[[str], Progress]
"""Makes what is told how much is done, by a title."""


class Pulled(NamedTuple):
    """Folders in the hub's cache."""

    checkpoint: Path
    vision_tower: Path | None


def check(model: Published, reports: Reports) -> None:
    """Read every file that is here already, gigabytes. Raises `HubError` for one that is damaged."""
    for repository in filter(None, model):
        if (present := whole_snapshot(repository)) is not None:
            _check(present, reports(f"Checking {repository.name}"))


def pull(model: Published, tell: Tell, reports: Reports) -> Pulled:
    """Everything that an export of the model needs; what is here is taken as it is. Raises `HubError`."""
    return Pulled(
        _snapshot(model.checkpoint, tell, reports),
        None if model.vision_tower is None else _snapshot(model.vision_tower, tell, reports),
    )


def _snapshot(repository: Repository, tell: Tell, reports: Reports) -> Path:
    present = whole_snapshot(repository)
    if present is not None:
        tell(f"{repository.id} is here already: {present}")
        return present
    with explained(repository, repository_folder(repository)):
        listing = list_files(repository)
        tell(_announced(repository, listing))
        _check_room(listing)
        snapshot = download(repository, listing, reports(f"Fetching {repository.name}"))
    if whole_snapshot(repository) is None:
        raise HubError(
            f"{snapshot} has not all that an export needs: the hub lists no weights, or no tokenizer.model."
        )
    return snapshot


def _check(snapshot: Path, progress: Progress) -> None:
    progress.start(sum(path.stat().st_size for path in snapshot.iterdir()))
    for blob in damaged(snapshot, progress.advance):
        raise HubError(
            f"{blob} is damaged: its digest is not the one that it is called by; remove it, and pull again."
        )
    progress.finish()


def _announced(repository: Repository, listing: Listing) -> str:
    part = (
        f", of which {size_text(listing.total - listing.missing)} are here" if listing.missing < listing.total else ""
    )
    return (
        f"{repository.id} at {listing.commit[:12]}: {size_text(listing.total)} in {len(listing.files)} files from "
        f"{listing.endpoint}{part}, to {listing.folder}\nLicence: {repository.licence}."
    )


def _check_room(listing: Listing) -> None:
    existing = next(path for path in (listing.folder, *listing.folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < listing.missing:
        raise HubError(
            f"{size_text(listing.missing)} are to be fetched, and {size_text(free)} are free in {existing}; make "
            "room, or set HF_HUB_CACHE to a folder on another disk."
        )
