"""A model is called as its folder, or as the repository whose cached snapshot it is."""

import os
from pathlib import Path

import pytest
from edgevlm_export.checkpoint.name import model_name

COMMIT = "a0b1c2d3e4f5061728394a5b6c7d8e9f00112233"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    folder = tmp_path / "hub" / "models--mtgv--MobileVLM_V2-1.7B" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def test_a_folder_gives_its_name(tmp_path: Path) -> None:
    assert model_name(tmp_path / "tiny") == "tiny"
    assert model_name(tmp_path / "tiny" / "..") == tmp_path.name


def test_a_snapshot_is_named_by_its_repository(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "current"
    link.symlink_to(snapshot)
    monkeypatch.chdir(snapshot)
    assert {model_name(path) for path in (snapshot, link, Path("."))} == {"MobileVLM_V2-1.7B"}


@pytest.mark.parametrize(
    "place", [f"mine/snapshots/{COMMIT}", f"models--a--b/{COMMIT}", "models--a--b/snapshots/main"]
)
def test_other_folders_keep_their_names(tmp_path: Path, place: str) -> None:
    assert model_name(tmp_path / place) == place.rpartition("/")[2]


def test_bytes_that_are_no_text_are_marked(tmp_path: Path) -> None:
    assert model_name(tmp_path / os.fsdecode(b"caf\xe9")) == "caf\ufffd"
