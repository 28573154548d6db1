"""The whole way in, as the server and `ask` use it."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edgevlm_server.images.decode.decoder import ImageWorkerError
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.intake import ImageIntake

from tests.server.images.image_files import SPEC, data_url, encode, noise

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


@pytest.fixture
def intake() -> Iterator[ImageIntake]:
    with ImageIntake(ImageLimits(), SPEC) as made:
        yield made


@pytest.mark.parametrize("case", ["v2", "v2-headdim80-bf16"])
def test_file_to_upstreams_pixels(intake: ImageIntake, case: str) -> None:
    path = GOLDEN / case / "image.png"
    pixels = intake.pixels_of_file(path)
    with np.load(GOLDEN / case / "ref.npz") as reference:
        np.testing.assert_allclose(pixels, reference["pixel_values"][0], rtol=0, atol=1e-6)
    sent = intake.read(data_url(path.read_bytes()))
    assert np.array_equal(intake.pixels(sent.data), pixels)
    assert sent.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_how_a_picture_was_sent_does_not_change_its_digest(intake: ImageIntake) -> None:
    data = encode(noise(20, 20), "PNG")
    texts = [data_url(data), base64.encodebytes(data).decode(), base64.urlsafe_b64encode(data).decode()]
    assert {intake.read(text).sha256 for text in texts} == {hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    "image_url, code",
    [
        ("https://example.com/a.png", "remote_images_disabled"),
        ("not base64!", "image_invalid"),
        (data_url(b"%PDF-1.7"), "image_unsupported"),
        (data_url(encode(noise(20, 20), "PNG")[:-100]), "image_invalid"),
        (data_url(bytes(8 << 20)), "image_too_large"),
    ],
    ids=["remote", "text", "PDF", "cut", "large"],
)
def test_refusals(intake: ImageIntake, image_url: str, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        intake.pixels(intake.read(image_url).data)
    assert caught.value.code == code


def test_files_that_cannot_be_read(intake: ImageIntake, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        intake.pixels_of_file(tmp_path / "missing.png")
    large = tmp_path / "large.png"
    large.write_bytes(encode(noise(20, 20), "PNG") + bytes(8 << 20))
    with pytest.raises(ImageError) as caught:
        intake.pixels_of_file(large)
    assert caught.value.code == "image_too_large"


def test_closed(intake: ImageIntake) -> None:
    intake.close()
    with pytest.raises(ImageWorkerError, match="closed"):
        intake.pixels(encode(noise(2, 2), "PNG"))
