"""Bundles whose files lie elsewhere, or under names that are not text: they load as any other, weights mapped."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgevlm_engines import load_engine, open_bundle
from edgevlm_engines.ort.external_data import graph_with_weights_at, open_folder

NOT_TEXT = os.fsdecode(b"store \xff")


@pytest.fixture
def bundle(bundles: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy to rearrange."""
    return Path(shutil.copytree(bundles("v2"), tmp_path / "bundle"))


def features(bundle: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    engine = load_engine("ort", open_bundle(bundle), slots=1, max_length=256)
    try:
        size = engine.info.image_size
        pixels = np.linspace(-1, 1, 3 * size * size, dtype=np.float32).reshape(1, 3, size, size)
        return engine.encode_images(pixels)
    finally:
        engine.close()


@pytest.mark.parametrize("place", ["store", NOT_TEXT])
def test_every_file_may_be_a_link_into_a_store(bundle: Path, bundles: Callable[[str], Path], place: str) -> None:
    for number, path in enumerate(sorted(bundle.iterdir())):
        # as git-annex does: a folder and a name that say nothing, and links to links
        kept = bundle.with_name(place) / str(number) / f"SHA256E-{number}"
        kept.parent.mkdir(parents=True)
        shutil.move(path, kept)
        first = kept.parent / "link"
        first.symlink_to(kept.name)
        path.symlink_to(first)
    np.testing.assert_array_equal(features(bundle), features(bundles("v2")))


def test_a_folder_may_have_a_name_that_is_no_text(bundle: Path, bundles: Callable[[str], Path]) -> None:
    np.testing.assert_array_equal(features(bundle.rename(bundle.with_name(NOT_TEXT))), features(bundles("v2")))


@pytest.mark.parametrize("name", ["w", "n" * 300])
def test_only_the_name_of_the_weights_is_changed(bundle: Path, name: str) -> None:
    path = bundle / "decoder.onnx"
    wanted = onnx.load(path, load_external_data=False)
    for tensor in wanted.graph.initializer:
        for entry in tensor.external_data:
            entry.value = name if entry.key == "location" else entry.value
    written = graph_with_weights_at(path, bundle / name)
    assert onnx.load_model_from_string(written) == wanted
    assert graph_with_weights_at(path, bundle / "decoder.data") == path.read_bytes()


def test_a_folder_is_open_for_a_while(tmp_path: Path) -> None:
    with open_folder(tmp_path) as folder:
        assert Path(folder).resolve() == tmp_path
    assert not Path(folder).exists()
