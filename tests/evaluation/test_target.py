"""What a word names, a server or a model, and the file of its answers: one for each bundle, whatever its folder."""

from pathlib import Path

import pytest
from edgevlm_engines.bundle import MANIFEST

from edgevlm.evaluation.published.target import file_name, server_or_model


def bundle(folder: Path, manifest: str) -> Path:
    """As much of one as its name comes from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text(manifest)
    return folder


def test_folders_of_one_name_have_two_files(tmp_path: Path) -> None:
    one, other = bundle(tmp_path / "fp16/v2", "fp16"), bundle(tmp_path / "int4/v2", "int4")
    assert file_name(one).startswith("v2-")
    assert file_name(one) != file_name(other)


def test_a_bundle_that_was_exported_again_has_another_file(tmp_path: Path) -> None:
    first = file_name(bundle(tmp_path / "v2", "first"))
    assert file_name(tmp_path / "v2") == first
    assert file_name(bundle(tmp_path / "v2", "second")) != first


def test_one_server_has_one_file_however_it_is_written() -> None:
    assert file_name("http://h:8000") == file_name("h:8000") == "h_8000"


@pytest.mark.parametrize("address", ["http://h", "h:8000", "h:8000/v1", "[::1]:8000"])
def test_an_address_is_one(address: str) -> None:
    assert server_or_model(address) == address


@pytest.mark.parametrize("model", ["v2", "bundles/v2:1", "./v2:1", "MobileVLM_V2-1.7B"])
def test_a_model_is_one(model: str) -> None:
    assert server_or_model(model) == Path(model)


def test_a_folder_that_looks_like_an_address_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v2:1").mkdir()
    assert server_or_model("v2:1") == Path("v2:1")
