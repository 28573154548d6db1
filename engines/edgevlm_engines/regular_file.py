"""Opens files that were given by others: nothing that could keep the reader waiting. Knows no contents."""

import errno
import os
import stat
from io import BufferedReader, FileIO
from pathlib import Path


def open_regular(path: Path) -> FileIO:
    """A file to read from. Raises `OSError`, for a pipe, a device or a folder too."""
    # a pipe would be waited for until somebody writes to it
    file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def read_regular(path: Path, most: int) -> bytes:
    """All bytes of a small file. Raises `OSError`, for a file of more than `most` bytes too."""
    with BufferedReader(open_regular(path)) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return content
