"""docs/decisions: a dated entry a file, every one in the index, the newest day first; code points to what exists."""

import re

from tests.boundaries.walls import ROOMS, ROOT
from tests.docs.pages import read

FOLDER = ROOT / "docs/decisions"
ENTRIES = sorted(path for path in FOLDER.iterdir() if path.name != "README.md")
INDEX = read("docs/decisions/README.md")


def test_names_are_dated() -> None:
    assert len(ENTRIES) > 40
    for path in ENTRIES:
        assert re.fullmatch(r"20\d\d-\d\d-\d\d(-[a-z0-9]+)+\.md", path.name), path.name


def test_the_index_has_every_entry_under_its_day_with_its_title() -> None:
    listed: dict[str, str] = {}
    for day, lines in re.findall(r"^## (\S+)\n\n((?:- .+\n)+)", INDEX, re.MULTILINE):
        for title, name in re.findall(r"^- \[(.+)\]\((\S+)\)$", lines, re.MULTILINE):
            assert name.startswith(day), name
            listed[name] = title
    assert listed == {path.name: path.read_text().partition("\n")[0].removeprefix("# ") for path in ENTRIES}


def test_the_newest_day_is_first() -> None:
    days = re.findall(r"^## (\S+)$", INDEX, re.MULTILINE)
    assert days == sorted(days, reverse=True)


def test_the_log_is_a_pointer() -> None:
    assert "(docs/decisions/README.md)" in read("LOG.md") and len(read("LOG.md").splitlines()) <= 5


def test_code_points_to_entries_that_exist() -> None:
    for folder in (*ROOMS.values(), ROOT / "benchmarks", ROOT / "tests"):
        for path in folder.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "`LOG.md`" not in text or path.name == "test_decisions.py", path
            for name in re.findall(r"docs/decisions/([\w.-]+\.md)", text):
                assert (FOLDER / name).exists(), (path, name)
