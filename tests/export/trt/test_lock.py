"""One process at a time builds plans in a folder, and one that died does not block the next."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from edgevlm_export.errors import ExportError
from edgevlm_export.trt.lock import plan_lock

HOLDER = """
import sys
from pathlib import Path
from edgevlm_export.trt.lock import plan_lock
with plan_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_holds_the_lock_and_a_dead_one_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        seen: list[int] = []

        def kill() -> None:
            seen.append(process.pid)
            process.kill()

        with plan_lock(folder, kill):
            assert seen == [process.pid], "the lock was free while the other process held it"
    with plan_lock(folder, lambda: pytest.fail("the lock was not given back")):
        pass


def test_a_plans_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ExportError, match="choose another folder with --plans"),
        plan_lock(tmp_path / "file" / "plans"),
    ):
        pass
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("edgevlm_export.trt.lock.fcntl.flock", flock)
    with (
        pytest.raises(ExportError, match="cannot be locked: No locks available; choose another folder with --plans"),
        plan_lock(tmp_path),
    ):
        pass
