"""`edgevlm.ask`: one call, upstream's names, and what it refuses."""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import EngineError
from edgevlm_server.settings import Settings
from PIL import ExifTags, Image

import edgevlm
from edgevlm.cli import main
from edgevlm.errors import CommandError
from edgevlm.offline.local_model import LocalModel
from edgevlm.pictures import Picture
from tests.conftest import GOLDEN

PICTURE = GOLDEN / "v2" / "image.png"
QUESTION = "What is in the picture?"
Bundles = Callable[[str], Path]


@pytest.fixture
def bundle(bundles: Bundles) -> Path:
    return bundles("v2")


def asked(bundle: Path, image: Picture | list[Picture] | None) -> str:
    return edgevlm.ask(bundle, image, QUESTION, max_new_tokens=8)


@pytest.mark.slow
def test_it_says_what_the_command_says(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = asked(bundle, PICTURE)
    assert main(["ask", str(PICTURE), QUESTION, "--model", str(bundle), "--max-tokens", "8"]) == 0
    assert capsys.readouterr().out.strip() == answer
    assert answer


@pytest.mark.slow
def test_the_command_looks_at_a_part(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Image.open(PICTURE) as picture:
        width, height = picture.size
        cut = picture.convert("RGB").crop((0, 0, width // 2, height // 2)).transpose(Image.Transpose.ROTATE_90)
    part = ["--crop", f"0,0,{width // 2},{height // 2}", "--rotate", "-90"]
    assert main(["ask", str(PICTURE), QUESTION, "--model", str(bundle), "--max-tokens", "8", *part]) == 0
    assert capsys.readouterr().out.strip() == asked(bundle, cut) != asked(bundle, PICTURE)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--crop", "1,2,3"], "--crop: It must be"),
        (["--rotate", "left"], "--rotate: It must be"),
        (["--crop", "0,0,1,1", "--deskew", "0,0 1,0 1,1 0,1"], "--deskew: It cuts"),
    ],
)
def test_a_part_that_cannot_be_meant_is_refused_before_anything_is_loaded(
    bundle: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(PICTURE), QUESTION, "--model", str(bundle / "none"), *options]) != 0
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_picture_may_be_bytes_or_pillows_or_one_of_several(bundle: Path) -> None:
    answer = asked(bundle, str(PICTURE))
    assert asked(bundle, PICTURE.read_bytes()) == answer
    assert asked(bundle, Image.open(io.BytesIO(PICTURE.read_bytes()))) == answer
    assert asked(bundle, [PICTURE]) == answer
    assert asked(bundle, [PICTURE, PICTURE]) != answer
    assert asked(bundle, None) != answer


@pytest.mark.slow
def test_a_picture_of_pillow_is_turned_upright_as_its_file_is(bundle: Path) -> None:
    picture = Image.open(PICTURE).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    turned = picture.transpose(Image.Transpose.ROTATE_270)
    with LocalModel.load(bundle, Settings.offline()) as model:
        features = [model.features([one]) for one in (file.getvalue(), Image.open(file), turned)]
    np.testing.assert_array_equal(features[0], features[1])
    np.testing.assert_array_equal(features[0], features[2])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV"])
def test_pillows_colours_are_converted(bundle: Path, mode: str) -> None:
    picture = Image.open(PICTURE).convert("RGB").convert(mode)
    assert asked(bundle, picture) == asked(bundle, picture.convert("RGB"))


def test_a_picture_of_pillow_that_is_cut_off_is_named_with_a_reason(bundle: Path) -> None:
    with pytest.raises(CommandError, match=r"The picture cannot be read: .*truncated"):
        asked(bundle, Image.open(io.BytesIO(PICTURE.read_bytes()[:-200])))


@pytest.mark.slow
def test_pieces_make_the_whole(bundle: Path) -> None:
    pieces = edgevlm.ask(bundle, PICTURE, QUESTION, max_new_tokens=8, stream=True)
    assert "".join(pieces).strip() == asked(bundle, PICTURE)


@pytest.mark.slow
def test_upstreams_arguments_are_accepted(bundle: Path) -> None:
    answer = edgevlm.ask(
        model_path=str(bundle),
        image_file=str(PICTURE),
        prompt=QUESTION,
        conv_mode="v1",
        temperature=0,
        top_p=None,
        num_beams=1,
        max_new_tokens=8,
        load_8bit=False,
        load_4bit=False,
    )
    assert answer == asked(bundle, PICTURE)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_beams": 2}, "num_beams above 1"),
        ({"conv_mode": "llama_2"}, "conv_mode 'llama_2'"),
        ({"prompt": " "}, "no question"),
        ({"model_path": "other"}, "model and model_path"),
        ({"image_file": "other"}, "image and image_file"),
        ({"load_8bit": True, "load_4bit": True}, "exclude each other"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
    ],
)
def test_what_cannot_be_meant_is_refused(bundle: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        edgevlm.ask(**{"model": bundle, "image": PICTURE, "prompt": QUESTION, **given})  # type: ignore[call-overload]


def test_a_precision_must_be_a_bundles_and_is_looked_at_first(bundle: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(bundle, tmp_path / "damaged")
    (damaged / "decoder.data").write_bytes(b"no")
    with pytest.raises(CommandError, match="in fp32, not int4"):
        edgevlm.ask(damaged, PICTURE, QUESTION, load_4bit=True)


def test_a_precision_of_the_demo_model_is_refused() -> None:
    with pytest.raises(CommandError, match="no checkpoint was given"):
        edgevlm.ask(None, PICTURE, QUESTION, load_8bit=True)


def test_a_picture_that_is_not_there_is_named(bundle: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.png cannot be read"):
        edgevlm.ask(bundle, "none.png", QUESTION)


def test_nothing_is_loaded_for_pieces_that_nobody_asks_for(tmp_path: Path) -> None:
    pieces = edgevlm.ask(tmp_path / "none", PICTURE, QUESTION, stream=True)
    with pytest.raises(EngineError, match="is not a bundle"):
        next(pieces)
    with pytest.raises(ValueError, match="exclude each other"):
        edgevlm.ask(tmp_path / "none", PICTURE, QUESTION, stream=True, load_8bit=True, load_4bit=True)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, edgevlm; print([n for n in ('numpy', 'onnx', 'fastapi', 'huggingface_hub') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
