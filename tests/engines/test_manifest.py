"""A manifest that was changed is refused, and so is one that contradicts itself or asks for what no device has."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import BundleError, read_manifest
from edgevlm_engines.bundle import MANIFEST, open_bundle

from tests.manifests import change, change_part, content


@pytest.fixture
def bundle(bundles: Callable[[str], Path], tmp_path: Path) -> Path:
    """A bundle's manifest without its files, to break."""
    (tmp_path / "bundle").mkdir()
    shutil.copyfile(bundles("v2") / MANIFEST, tmp_path / "bundle" / MANIFEST)
    return tmp_path / "bundle"


def refusal(bundle: Path) -> str:
    with pytest.raises(BundleError) as refused:
        read_manifest(bundle)
    return str(refused.value)


@pytest.mark.slow
def test_every_flipped_bit_is_refused(bundle: Path) -> None:
    path = bundle / MANIFEST
    whole = path.read_bytes()
    passed = []
    for bit in range(8 * len(whole)):
        text = bytearray(whole)
        text[bit // 8] ^= 1 << bit % 8
        path.write_bytes(text)
        try:
            read_manifest(bundle)
        except BundleError as error:
            assert "again." in str(error)
        else:
            passed.append(bit)
    assert not passed


@pytest.mark.parametrize("word", ["curious", "0.48145466", "10000.0", '"eos_id": 2'])
def test_a_change_is_told_with_both_digests(bundle: Path, word: str) -> None:
    path = bundle / MANIFEST
    text = path.read_text()
    assert word in text
    path.write_text(text.replace(word, word[:-1] + "3"))
    stated = json.loads(text)["sha256"]
    found = re.fullmatch(
        rf"{path} is damaged: its SHA-256 is ([0-9a-f]{{64}}), and it says {stated}; "
        "copy or export the bundle again.",
        refusal(bundle),
    )
    assert found and found[1] != stated


def test_an_older_bundle_is_to_be_exported_again(bundle: Path) -> None:
    (bundle / MANIFEST).write_text(json.dumps({**content(bundle), "format": 3}))
    assert refusal(bundle).endswith("has format 3, and this version reads 5; export the model again.")


def test_a_pipe_is_not_waited_for(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    os.mkfifo(bundle / MANIFEST)
    assert refusal(bundle).endswith("cannot be read: it is not a regular file.")


def test_a_huge_manifest_is_not_parsed(bundle: Path) -> None:
    (bundle / MANIFEST).write_bytes(b"[" * (2 << 20))
    assert "it has more than 1048576 bytes" in refusal(bundle)


def test_a_bundles_file_that_became_a_pipe_is_not_waited_for(bundles: Callable[[str], Path], bundle: Path) -> None:
    shutil.copytree(bundles("v2"), bundle, dirs_exist_ok=True)
    (bundle / "vision.data").unlink()
    os.mkfifo(bundle / "vision.data")
    change_part(bundle, "files", **{"vision.data": {"size": 0, "sha256": "0" * 64}})
    with pytest.raises(BundleError, match="not a regular file"):
        open_bundle(bundle)


WRONG = [
    ("decoder", {"layers": 0}, "decoder.layers"),
    ("decoder", {"layers": 10**9}, "decoder.layers"),
    ("decoder", {"vocab_size": 10**12}, "decoder.vocab_size"),
    ("decoder", {"hidden_size": 32}, "4 heads of 16 channels are not 32"),
    ("decoder", {"head_dim": 8}, "4 heads of 8 channels are not 64"),
    ("decoder", {"heads": 2}, "2 heads cannot share 4 of keys"),
    ("decoder", {"kv_heads": 3}, "4 heads cannot share 3 of keys"),
    ("vision", {"image_tokens": 2048}, "an image of 2048 positions leaves no room in 2048"),
    ("vision", {"patch_size": 13}, "336 pixels are not whole patches of 13"),
    ("preprocessing", {"size": 10**6}, "preprocessing.size"),
    ("preprocessing", {"std": [0, 0.3, 0.3]}, "preprocessing.std.0"),
    ("preprocessing", {"std": [0.3, -0.3, 0.3]}, "preprocessing.std.1"),
    ("preprocessing", {"std": [0.3, 0.3, 1e-300]}, "preprocessing.std.2"),
    ("preprocessing", {"mean": [1e300, 0.5, 0.5]}, "preprocessing.mean.0"),
    ("preprocessing", {"pad_colour": [300, 0, 0]}, "preprocessing.pad_colour.0"),
    ("preprocessing", {"pad_colour": [0, 0, -1]}, "preprocessing.pad_colour.2"),
    ("prompt", {"bos_id": 400}, "a token that is not among the 400 of the vocabulary"),
    ("prompt", {"bos_id": -1}, "prompt.bos_id"),
    ("prompt", {"eos_id": 10**30}, "a token that is not among the 400 of the vocabulary"),
    ("prompt", {"stop_ids": [2, 400]}, "a token that is not among the 400 of the vocabulary"),
    ("prompt", {"stop_ids": []}, "prompt.stop_ids"),
]


@pytest.mark.parametrize(("part", "fields", "sentence"), WRONG, ids=lambda value: json.dumps(value))
def test_a_manifest_that_contradicts_itself_is_refused(
    bundle: Path, part: str, fields: dict[str, object], sentence: str
) -> None:
    change_part(bundle, part, **fields)
    assert sentence in refusal(bundle)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"max_length": 10**9}, "max_length"),
        ({"max_length": 144}, "leaves no room in 144"),
        ({"device": "jetpack6"}, "the flavour ort does not run on jetpack6"),
        ({"flavour": "trt-native"}, "the flavour trt-native does not run on cpu"),
    ],
)
def test_so_is_one_that_asks_for_what_no_device_does(bundle: Path, fields: dict[str, object], sentence: str) -> None:
    change(bundle, **fields)
    assert sentence in refusal(bundle)
