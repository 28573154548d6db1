"""Files are read again when they have changed, however they were changed."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key, rotate_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.reload import Reloader


class Watching:
    """A watched file, and how often it was read again."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._reloader = Reloader()
        self._reloader.watch(lambda: [path], self._read)
        self.read = self._reloader.read

    def _read(self) -> None:
        self.count += 1

    def look(self) -> int:
        """How often it has been read after one more look."""
        for one in self._reloader._watched:
            one.look()
        return self.count


def rewrite(path: Path) -> None:
    path.write_text("2")


def rewrite_in_the_same_moment(path: Path) -> None:
    before = path.stat()
    path.write_text("2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    path.with_name("new").write_text("2")
    os.replace(path.with_name("new"), path)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [rewrite, rewrite_in_the_same_moment, replace, remove])
def test_a_change_is_seen_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    watching = Watching(path)
    assert watching.look() == 0
    time.sleep(0.02)  # older kernels tell no finer times
    change(path)
    assert [watching.look(), watching.look()] == [1, 1]


def test_a_secret_of_kubernetes_is_swapped_by_a_link(tmp_path: Path) -> None:
    """`keys` leads to `..data/keys`, and `..data` to a folder; a new folder comes, and the link is replaced."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "keys").write_text("same size")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "keys").symlink_to("..data/keys")
    watching = Watching(tmp_path / "keys")
    (tmp_path / "..data_tmp").symlink_to("..2")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    assert [watching.look(), watching.look()] == [1, 1]


def test_hanging_up_reads_again_what_has_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    watching = Watching(path)
    watching.read()
    assert [watching.count, watching.look()] == [1, 1]


def test_new_keys_are_taken_and_a_broken_file_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys"
    first = add_key(path, "a")
    ring = KeyRing.load(path)
    reloader = Reloader()
    reloader.watch(lambda: [path], ring.reload)

    def look() -> None:
        for one in reloader._watched:
            one.look()

    second = rotate_key(path, "a", 0)
    look()
    assert [ring.client_of(key) for key in (first, second)] == [None, "a"]
    good = path.read_text()
    for broken in ("", "nonsense\n"):
        caplog.clear()
        path.write_text(broken)
        look()
        look()
        assert ring.client_of(second) == "a"
        [record] = [one for one in caplog.records if one.levelname == "ERROR"]
        assert "The keys that were read before stay valid." in record.getMessage()
    path.write_text(good)
    caplog.set_level("INFO")
    look()
    assert "API keys were read again: 1 keys, 1 clients." in caplog.text


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A pipe would be read until someone writes, and a device may have no end."""
    path = tmp_path / "keys"
    path.write_text("1")
    watching = Watching(path)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    assert [watching.look(), watching.look()] == [0, 0]
    [record] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.getMessage() == f"{path} is not a file any more. What was read before stays in use."
    path.rename(tmp_path / "old")
    path.write_text("2")
    assert watching.look() == 1


def test_files_that_cannot_be_listed_are_read_once_and_seen_again_later(tmp_path: Path) -> None:
    """A share that is away for a moment: whoever reads can say so, and the next change is seen."""
    away: list[OSError] = []
    read: list[str] = []

    def files() -> list[Path]:
        if away:
            raise away[0]
        return [tmp_path / "file"]

    def look() -> int:
        for one in reloader._watched:
            one.look()
        return len(read)

    reloader = Reloader()
    reloader.watch(files, lambda: read.append("once more"))
    assert look() == 0
    away.append(PermissionError(13, "Permission denied"))
    assert [look(), look()] == [1, 1]
    away.clear()
    assert [look(), look()] == [2, 2]


@pytest.mark.parametrize("how", ["name", "error"])
def test_one_that_fails_keeps_no_other_from_being_seen(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A path that cannot even be looked up, and a reader that is wrong."""

    def fail() -> None:
        raise ValueError("injected")

    path, other = tmp_path / ("x" * 300 if how == "name" else "file"), tmp_path / "other"
    read: list[str] = []
    reloader = Reloader()
    reloader.watch(lambda: [path], fail if how == "error" else lambda: read.append("long"))
    reloader.watch(lambda: [other], lambda: read.append("other"))
    reloader.read()
    assert read == (["other"] if how == "error" else ["long", "other"])
    assert ("could not be read again" in caplog.text) == (how == "error")


def test_files_that_hang_hold_up_neither_requests_nor_the_end(tmp_path: Path) -> None:
    """A share whose server is away: whoever lists it waits, and no other does."""
    listed, asked, there = threading.Event(), threading.Event(), threading.Event()

    def files() -> list[Path]:
        if listed.is_set():
            asked.set()
            assert there.wait(60)
        listed.set()
        return []

    read = threading.Event()
    reloader = Reloader()
    reloader.watch(files, read.set)
    reloader.start()
    assert asked.wait(60), "nobody looked"
    reloader.hang_up()
    assert not read.is_set()
    there.set()
    assert read.wait(60), "the hangup was forgotten"
    reloader.end()
