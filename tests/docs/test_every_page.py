"""Every page: its links lead somewhere, its commands can be given, and the files that it names exist."""

import re
from pathlib import Path

import pytest

from tests.boundaries.walls import ROOT
from tests.docs.pages import PATH, check_command, code, commands, pages

PAGES = pages()
CURRENT = [path for path in PAGES if path.parent.name != "decisions" and path.name != "CHANGELOG.md"]
"""Pages that speak of today; the others may name what has gone."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """As a forge makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_commands_can_be_given(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        check_command(words)


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_files_that_are_named_exist(page: Path) -> None:
    for text in code(page.read_text(encoding="utf-8")):
        if PATH.fullmatch(text):
            assert (ROOT / text).exists() or (page.parent / text).exists(), text


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_modules_that_are_named_exist(page: Path) -> None:
    for text in code(page.read_text(encoding="utf-8")):
        if module := re.match(r"python -m (?:tests|benchmarks|edgevlm_demo)[\w.]*\w", text):
            check_command(module[0].split())
