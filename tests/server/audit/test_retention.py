"""How long the audit's files stay, and how they are divided."""

import os
import time
from datetime import date
from pathlib import Path

import pytest
from edgevlm_server.audit.folder import Folder
from edgevlm_server.audit.retention import DAY_SECONDS, tidy

from tests.server.audit.test_audit import lines
from tests.server.audit.test_losses import Kept

NOW = 1_800_000_000.0
TODAY = date(2026, 11, 27)


def made(path: Path, days: float, size: int = 100) -> Path:
    """A file that was last written so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (NOW, NOW - days * DAY_SECONDS))
    return path


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    digest = 64 * "a"
    made(tmp_path / "2026-01-01-001.jsonl", 31)
    made(tmp_path / "2026-01-02-001.jsonl", 29)
    made(tmp_path / "pictures/aa" / digest, 31)
    made(tmp_path / "pictures/bb" / f"{64 * 'b'}.partial", 31)
    assert tidy(tmp_path, NOW, 30, 10**6, None) == 100
    assert left(tmp_path) == {"2026-01-02-001.jsonl"}


def test_what_is_too_much_goes_the_oldest_first(tmp_path: Path) -> None:
    for number in range(8):
        made(tmp_path / f"2026-01-0{number}-001.jsonl", 20 - number)
    picture = made(tmp_path / "pictures/aa" / (64 * "a"), 19.5)
    assert tidy(tmp_path, NOW, 30, 600, None) == 500
    assert left(tmp_path) == {f"2026-01-0{number}-001.jsonl" for number in range(3, 8)}
    assert not picture.exists()


def test_the_file_that_is_written_and_those_of_others_stay(tmp_path: Path) -> None:
    current = made(tmp_path / "2026-01-01-001.jsonl", 99)
    others = {made(tmp_path / name, 99).name for name in ("notes.txt", "2026-01-01-001.jsonl.gz", "keys")}
    made(tmp_path / "pictures/aa/readme", 99)
    (tmp_path / "2026-01-02-001.jsonl").symlink_to(tmp_path / "notes.txt")
    assert tidy(tmp_path, NOW, 30, 1, current) == 100
    assert left(tmp_path) == others | {current.name, "readme", "2026-01-02-001.jsonl"}


@pytest.mark.slow
def test_a_running_audit_stays_within_its_size(tmp_path: Path) -> None:
    kept = Kept(tmp_path, outbox_bytes=2**24, most_bytes=100_000)
    for number in range(2000):
        kept.request(f"Question {number}")
    assert kept.audit.close()
    assert kept.count("dropped", "request") == 0
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 110_000
    found = lines(tmp_path)
    assert found[-1]["question"] == "Question 1999"
    numbers = [int(line["question"].split()[1]) for line in found]
    assert numbers == list(range(numbers[0], 2000)), "the newest stay, without a gap"


def test_a_day_has_a_file_of_its_own_and_a_large_one_is_followed_by_the_next(tmp_path: Path) -> None:
    folder = Folder(tmp_path, part_bytes=100)
    for day in (TODAY, date(2026, 11, 28)):
        for _ in range(3):
            folder.append(60 * b"x" + b"\n", day)
    folder.close()
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {
        "2026-11-27-001.jsonl": 122,
        "2026-11-27-002.jsonl": 61,
        "2026-11-28-001.jsonl": 122,
        "2026-11-28-002.jsonl": 61,
    }


def test_after_a_start_a_new_file_begins(tmp_path: Path) -> None:
    """The last line of the old one may be half a line, if the machine lost its power."""
    (tmp_path / "2026-11-27-009.jsonl").write_text('{"half": ')
    folder = Folder(tmp_path, part_bytes=100)
    folder.append(b"{}\n", TODAY)
    folder.close()
    assert (tmp_path / "2026-11-27-010.jsonl").read_bytes() == b"{}\n"


def test_a_picture_that_comes_again_is_new_again(tmp_path: Path) -> None:
    folder, digest = Folder(tmp_path, part_bytes=100), 64 * "d"
    assert folder.keep(digest, b"picture")
    path = tmp_path / "pictures/dd" / digest
    os.utime(path, (1, 1))
    # a start that was cut off left this
    path.with_suffix(".partial").write_bytes(b"longer than the picture")
    assert not folder.keep(digest, b"picture")
    assert path.stat().st_mtime > time.time() - 60
    assert path.read_bytes() == b"picture"
