"""What a model is called: as its folder, or as the repository that a hub's cache keeps it for. Reads no files."""

import os
import re
from pathlib import Path

SNAPSHOT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = "models--"


def model_name(checkpoint: Path) -> str:
    """The name that clients see if nobody chooses one.

    A hub's cache has a folder `models--OWNER--NAME/snapshots/COMMIT` for each model: there, `NAME` and not the commit
    is meant, also where a link or the working directory leads there.
    """
    folder = checkpoint.resolve()
    repository = folder.parent.parent.name
    if SNAPSHOT.fullmatch(folder.name) and folder.parent.name == "snapshots" and repository.startswith(REPOSITORY):
        folder = folder.with_name(repository.rpartition("--")[2])
    # a file system may hold any bytes, a manifest only text
    return os.fsencode(folder.name).decode("utf-8", "replace")
