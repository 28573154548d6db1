"""docs/security.md: each claim names tests, and the tests exist."""

import re

from tests.boundaries.walls import ROOT
from tests.docs.pages import code, read, section, table

TEXT = read("docs/security.md")


def test_every_claim_names_tests_that_exist() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = [text for text in code(TEXT) if text.startswith("test_")]
    assert len(named) > 30
    for name in named:
        assert f"def {name}(" in written, name
    for claim, shown in table(section(TEXT, "Claims, and what shows them")):
        assert re.search("`test_", shown), claim


def test_what_a_review_asks_for_is_there() -> None:
    headings = {heading.lower() for heading in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)}
    for word in ("protecting", "trust", "connection", "does not protect", "keys", "patches and components"):
        assert [heading for heading in headings if word in heading], word
