"""Files of a repository into the hub's cache: on from where it stopped, and none is there before its digest is right.

The hub's own client throws away what it did not finish; only who asks, where, and with which key is left to it.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx
from edgevlm_export.bundle_writer import Progress
from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from edgevlm.hub.cache import COMMIT, digest
from edgevlm.hub.errors import HubError, Unreachable, passes
from edgevlm.hub.listing import HubFile, Listing
from edgevlm.hub.published import Repository

ATTEMPTS = 5
"""In a row that bring nothing."""
LONGEST_WAIT = 60.0
SECONDS = 30.0
"""Without a byte, before a connection counts as lost."""
HTTP_PARTIAL = 206


def download(repository: Repository, listing: Listing, progress: Progress) -> Path:
    """The snapshot's folder, with all files. Raises what the hub's client raises, or `HubError`."""
    progress.start(listing.total)
    for file in listing.files:
        progress.advance(listing.present(file))
        blob = listing.blob(file)
        blob.parent.mkdir(parents=True, exist_ok=True)
        if blob.is_file():
            _check(blob, file, "remove it, and pull again")
        else:
            _fetch(repository, listing, file, progress)
        _place(blob, listing.pointer(file))
    progress.finish()
    _remember(repository, listing)
    return listing.folder / "snapshots" / listing.commit


def _fetch(repository: Repository, listing: Listing, file: HubFile, progress: Progress) -> None:
    """One process at a time, so that two do not write into the same file."""
    url = hf_hub_url(repository.id, file.name, revision=listing.commit)
    with _locked(listing.part(file)) as part:
        if listing.blob(file).is_file():
            return
        _receive_all(url, part, file.size, progress)
        try:
            _check(Path(part.name), file, "pull again; if that does not help, the mirror is at fault")
        except HubError:
            _empty(part)
            raise
        os.fsync(part.fileno())
        Path(part.name).rename(listing.blob(file))


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    # whoever waited for the lock has made an empty one anew
    if path.is_file() and path.stat().st_size == 0:
        path.unlink()


def _receive_all(url: str, part: BinaryIO, size: int, progress: Progress) -> None:
    """Broken connections are taken up again; a hub that asks to wait is waited for, if not for long."""
    failures = 0
    while (before := part.seek(0, os.SEEK_END)) != size:
        if failures == ATTEMPTS:
            raise Unreachable(f"{url} does not give the {size} bytes that it should; pull again later.")
        try:
            _receive(url, part, progress)
        except (httpx.TransportError, HfHubHTTPError) as error:
            pause = _pause(error, failures)
            if pause is None or failures + 1 == ATTEMPTS:
                raise
            time.sleep(pause)
        failures = 0 if before < part.tell() <= size else failures + 1
        if part.tell() > size:
            _empty(part)


def _receive(url: str, part: BinaryIO, progress: Progress) -> None:
    """What the server sends from the end of `part` on; all of it anew if it knows no ranges."""
    done = part.tell()
    headers = {**build_hf_headers(library_name="edgevlm"), "Accept-Encoding": "identity", "Range": f"bytes={done}-"}
    with get_session().stream("GET", url, headers=headers, timeout=SECONDS, follow_redirects=True) as response:
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        if response.status_code != HTTP_PARTIAL and done:
            _empty(part)
            progress.advance(-done)
        # as it comes: pieces of a fixed size would lose what is left when the connection breaks
        for piece in response.iter_raw():
            part.write(piece)
            progress.advance(len(piece))
    part.flush()


def _empty(part: BinaryIO) -> None:
    """Also the position: left behind the end, it would look like progress."""
    part.seek(0)
    part.truncate()


def _pause(error: Exception, failures: int) -> float | None:
    """Seconds before it is worth another try; `None` if it is not."""
    if not isinstance(error, HfHubHTTPError):
        return float(failures)
    if not passes(error.response.status_code):
        return None
    asked = error.response.headers.get("Retry-After", "")
    pause = float(asked) if asked.isdecimal() else float(2**failures)
    return pause if pause <= LONGEST_WAIT else None


def _check(path: Path, file: HubFile, advice: str) -> None:
    if path.stat().st_size != file.size or digest(path, file.digest) != file.digest:
        raise HubError(f"{path} is not what the hub lists as {file.name}: its size or digest is another; {advice}.")


def _place(blob: Path, pointer: Path) -> None:
    pointer.parent.mkdir(parents=True, exist_ok=True)
    if pointer.is_file():
        return
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except FileExistsError:
        # another pull was quicker
        return
    except OSError:
        # a file system without links
        shutil.move(blob, pointer)


def _remember(repository: Repository, listing: Listing) -> None:
    """What a branch stood for, so that the same is found again without a network."""
    if not COMMIT.fullmatch(repository.revision):
        reference = listing.folder / "refs" / repository.revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(listing.commit, encoding="utf-8")
