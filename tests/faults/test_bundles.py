"""Damage anywhere in a bundle: found before a byte of a model is parsed."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgevlm_engines import BundleError, open_bundle


@pytest.fixture
def bundle(bundles: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(bundles("v2"), tmp_path / "bundle"))


def damaged(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Flipped in single bits, cut at any place, empty, longer, with two pieces swapped."""
    for _ in range(12):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        yield bytes(changed)
    for _ in range(4):
        yield data[: chance.randrange(len(data))]
    half = len(data) // 2
    yield from (b"", data + b"\0", data[half:] + data[:half])


def test_wherever_a_bundle_is_damaged_it_is_refused(bundle: Path) -> None:
    chance, tried = random.Random(15), 0
    for file in sorted(open_bundle(bundle).manifest.files):
        data = (bundle / file).read_bytes()
        for wrong in damaged(data, chance):
            (bundle / file).write_bytes(wrong)
            with pytest.raises(BundleError, match=file):
                open_bundle(bundle)
            tried += 1
        (bundle / file).write_bytes(data)
    assert tried > 80
    open_bundle(bundle)
