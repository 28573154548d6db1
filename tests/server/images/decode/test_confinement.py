"""What a decoding process may not do, however a picture gets hold of it: seen from outside, in /proc (Linux)."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from edgevlm_server.images.formats.header import ImageHeader, read_header
from edgevlm_server.images.formats.limits import ImageLimits

from tests.processes import limits_of
from tests.server.images.image_files import encode, plain
from tests.server.images.image_workers import TEAL, assert_right, decoder, refusal, workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_a_worker_writes_no_file_and_opens_few() -> None:
    with decoder(limits=ImageLimits(memory_bytes=700 << 20)) as made:
        assert_right(made)
        limits = limits_of(workers()[0])
    assert limits["Max file size"] == limits["Max core file size"] == ("0", "0")
    assert limits["Max open files"] == ("32", "32")
    assert limits["Max address space"] == (str(700 << 20),) * 2


def test_more_pixels_than_the_header_says_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns of up to twice as many as it is told to expect, and that must not be enough."""
    data = encode(plain(TEAL, (60, 60)), "PNG")

    def smaller(data: bytes, limits: ImageLimits) -> ImageHeader:
        return replace(read_header(data, limits), height=40)

    with decoder() as made:
        made.decode(data)
        monkeypatch.setattr("edgevlm_server.images.decode.decoder.read_header", smaller)
        assert refusal(made, data).code == "image_invalid"


@pytest.mark.parametrize("name", ["PIL", "edgevlm_server", "struct"])
def test_no_code_is_taken_from_the_current_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with decoder() as made:
        assert_right(made)
    assert os.listdir(tmp_path) == [f"{name}.py"]
