"""One process at a time writes into a folder, and one that died does not block the next."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from edgevlm_export.errors import ExportError
from edgevlm_export.folder_lock import alone

HOLDER = """
import sys
from pathlib import Path
from edgevlm_export.folder_lock import alone
with alone(Path(sys.argv[1]), "end this one"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_is_alone_and_a_dead_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        seen: list[int] = []

        def kill() -> None:
            seen.append(process.pid)
            process.kill()

        with alone(folder, "", kill):
            assert seen == [process.pid], "the lock was free while the other process held it"
    with alone(folder, "", lambda: pytest.fail("the lock was not given back")):
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ExportError, match=r"cannot be written: .*; choose another folder\.$"),
        alone(tmp_path / "file" / "plans", "choose another folder"),
    ):
        pass
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("edgevlm_export.folder_lock.fcntl.flock", flock)
    with (
        pytest.raises(ExportError, match=r"cannot be locked: No locks available; choose another folder\.$"),
        alone(tmp_path, "choose another folder"),
    ):
        pass
