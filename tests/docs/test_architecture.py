"""A request's way: what documents name is what a real request passes, and it is not too much."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.boundaries.walls import ARROWS, LIBRARIES, ROOMS, ROOT
from tests.docs.pages import code, read, section, table
from tests.docs.trace import SERVER, files_passed, picture_request, text_request

MOST_FILES_FOR_TEXT = 46
MOST_FILES_WITH_A_PICTURE = 57
"""Of the server, passed by one streamed chat request; lower them when the way gets shorter."""

TEXTS = {name: section(read(name), "A request's way") for name in ("README.md", "docs/architecture.md")}


class Passed(NamedTuple):
    """Files, relative to the server's package."""

    text: set[str]
    picture: set[str]

    def have(self, place: str) -> bool:
        """A file, or any in a folder."""
        return any(file == place or (place.endswith("/") and file.startswith(place)) for file in self.picture)


@pytest.fixture(scope="module")
def passed(bundles: Callable[[str], Path]) -> Passed:
    return Passed(files_passed(bundles("v2"), text_request), files_passed(bundles("v2"), picture_request))


def places(text: str) -> list[str]:
    """Folders and files of the server that a text names, in its order."""
    return [name for name in code(text) if re.fullmatch(r"[a-z_/]+(?:/|\.py)", name)]


def test_a_request_passes_few_files(passed: Passed) -> None:
    assert len(passed.text) <= MOST_FILES_FOR_TEXT, sorted(passed.text)
    assert len(passed.picture) <= MOST_FILES_WITH_A_PICTURE, sorted(passed.picture)


@pytest.mark.parametrize("page", TEXTS)
def test_a_request_passes_what_is_named(page: str, passed: Passed) -> None:
    named = places(TEXTS[page])
    assert len(named) > 5
    for place in named:
        assert (SERVER / place).exists(), place
        # the one folder that is for other requests
        assert passed.have(place) or place == "guided/", place


@pytest.mark.parametrize("page", TEXTS)
def test_every_folder_that_a_request_passes_is_named(page: str, passed: Passed) -> None:
    folders = {f"{Path(file).parent}/" for file in passed.picture if "/" in file}
    assert folders <= set(places(TEXTS[page]))


def test_steps_are_numbered_and_have_a_place() -> None:
    rows = table(TEXTS["docs/architecture.md"])
    assert [row[0] for row in rows] == [str(number + 1) for number in range(len(rows))]
    assert all(places(row[1]) for row in rows)


def test_the_table_of_folders_is_complete() -> None:
    named = {
        place
        for row in table(section(read("docs/architecture.md"), "The server's folders"))
        for place in places(row[0])
    }
    packages = {path.parent for path in SERVER.glob("*/**/__init__.py")}
    files = {SERVER / "page", SERVER / "docs"}
    there = {f"{path.relative_to(SERVER)}/" for path in packages | files}
    assert named == there


def test_the_walls_are_those_that_are_told() -> None:
    assert ARROWS["edgevlm_engines"] == set()
    assert ARROWS["edgevlm_server"] == ARROWS["edgevlm_export"] == {"edgevlm_engines"}
    assert ARROWS["edgevlm_demo"] <= {"edgevlm_server"}
    assert ARROWS["edgevlm"] == {"edgevlm_server", "edgevlm_engines", "edgevlm_export", "edgevlm_demo"}
    assert LIBRARIES["fastapi"] == LIBRARIES["starlette"] == {"edgevlm_server.http"}
    assert {folder.rpartition(".")[2] for folder in LIBRARIES["tensorrt"]} == {"trt"}


def test_the_readmes_map_has_every_room() -> None:
    first_cells = " ".join(row[0] for row in table(section(read("README.md"), "The rooms")))
    named = {link.split("/")[0] for link in re.findall(r"\]\(([^)]+)\)", first_cells)}
    assert {folder.relative_to(ROOT).parts[0] for folder in ROOMS.values()} <= named
