"""`edgevlm keys`: what happens to the file, whatever happens meanwhile."""

import os
import stat
import threading
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key, list_keys, remove_client, rotate_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.settings import SettingsError

from edgevlm.cli import main

HOUR = 3600.0


def who(file: Path, *keys: str) -> list[str | None]:
    """Whose the keys are for a server that starts now."""
    ring = KeyRing.load(file)
    return [ring.client_of(key) for key in keys]


def test_a_rotated_key_is_valid_until_its_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    old = add_key(file, "a")
    new = rotate_key(file, "a", HOUR)
    ring = KeyRing.load(file)
    assert [ring.client_of(key) for key in (old, new)] == ["a", "a"]
    [replaced, current] = list_keys(file)
    assert current.until is None and replaced.until is not None
    until = replaced.until
    monkeypatch.setattr("time.time", lambda: until - 1)
    assert ring.client_of(old) == "a"
    monkeypatch.setattr("time.time", lambda: until)
    assert [ring.client_of(key) for key in (old, new)] == [None, "a"]


def test_without_a_grace_time_the_old_key_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    old = add_key(file, "a")
    assert who(file, old, rotate_key(file, "a", 0)) == [None, "a"]


def test_a_client_has_two_keys_at_most(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    first = add_key(file, "a")
    second = rotate_key(file, "a", HOUR)
    third = rotate_key(file, "a", HOUR)
    assert who(file, first, second, third) == [None, "a", "a"]


def test_a_removed_client_is_gone_with_all_its_keys_and_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    first, other = add_key(file, "a"), add_key(file, "b")
    second = rotate_key(file, "a", HOUR)
    file.write_text(f"# cameras\n\n{file.read_text()}")
    remove_client(file, "a")
    assert who(file, first, second, other) == [None, None, "b"]
    assert file.read_text().startswith("# cameras\n\n")


def test_the_last_client_is_not_removed(tmp_path: Path) -> None:
    """A server takes an empty file for a broken one, and would go on with the key."""
    file = tmp_path / "keys"
    key = add_key(file, "a")
    with pytest.raises(SettingsError, match=r"only client.*rotate .* a --grace 0"):
        remove_client(file, "a")
    assert who(file, key) == ["a"]


@pytest.mark.parametrize("change", [lambda file: remove_client(file, "x"), lambda file: rotate_key(file, "x", 0)])
def test_an_unknown_client_is_named(tmp_path: Path, change: object) -> None:
    file = tmp_path / "keys"
    add_key(file, "a")
    before = file.read_text()
    assert callable(change)
    with pytest.raises(SettingsError, match="has no key for x"):
        change(file)
    assert file.read_text() == before


def test_a_broken_file_is_not_made_worse(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("nonsense\n")
    with pytest.raises(SettingsError, match="line 1"):
        add_key(file, "a")
    assert file.read_text() == "nonsense\n"


def test_whoever_reads_meanwhile_has_the_old_file_whole(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_key(file, "a")
    before = file.read_text()
    with file.open() as reading:
        add_key(file, "b")
        assert reading.read() == before
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_mode_is_kept_and_a_link_leads_to_the_changed_file(tmp_path: Path) -> None:
    file, link = tmp_path / "keys", tmp_path / "link"
    add_key(file, "a")
    file.chmod(0o640)
    link.symlink_to(file)
    add_key(link, "b")
    assert link.is_symlink() and stat.S_IMODE(file.stat().st_mode) == 0o640
    assert {entry.name for entry in list_keys(file)} == {"a", "b"}


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    names = [f"client-{number}" for number in range(24)]
    threads = [threading.Thread(target=add_key, args=(file, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.name for entry in list_keys(file)) == sorted(names)


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    add_key(file, "a")
    before = file.read_text()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="cannot be written: No space left"):
        add_key(file, "b")
    assert file.read_text() == before and [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "keys")
    assert main(["keys", "add", file, "a"]) == main(["keys", "add", file, "b"]) == 0
    assert main(["keys", "rotate", file, "a", "--grace", "1"]) == 0
    first, _, second = capsys.readouterr().out.split()
    assert who(Path(file), first, second) == ["a", "a"]
    assert main(["keys", "list", file]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == ["b", "a", "a"]
    assert lines[0][1] == lines[2][1] == "valid" and lines[1][1].startswith("valid until 2")
    assert main(["keys", "remove", file, "b"]) == 0
    assert [entry.name for entry in list_keys(Path(file))] == ["a", "a"]
