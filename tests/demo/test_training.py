"""What training is told: which pictures, which options, which vocabulary, which fonts."""

import struct
import zlib
from pathlib import Path

import pytest
from edgevlm_demo.plant import PLANT
from edgevlm_demo.scenes import SCENES
from edgevlm_training.mixture import DRAWN_WEIGHTS, FOR_READING, FOR_REFUSALS
from edgevlm_training.options import FONTS, Options, add_reading_options, options_parser, read_options
from edgevlm_training.schedule import PEAK, practice, rate
from edgevlm_training.vocabulary import provide_vocabulary


def options(*arguments: str) -> Options:
    return read_options(options_parser("training", None), ["--out", "run", *arguments])


def reading_options(*arguments: str) -> Options:
    parser = options_parser("training", None)
    add_reading_options(parser)
    return read_options(parser, ["--out", "run", *arguments])


def test_every_scene_is_trained_on() -> None:
    assert set(DRAWN_WEIGHTS) == set(SCENES)
    for mixture in (FOR_READING, FOR_REFUSALS):
        assert set(mixture.plant) == set(PLANT)
        for weights in (DRAWN_WEIGHTS, mixture.plant):
            assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("option", ["--from", "--photographs"])
def test_a_run_with_other_pictures_or_another_beginning_is_another_run(option: str, tmp_path: Path) -> None:
    recipe = options(option, str(tmp_path)).recipe
    assert recipe != options().recipe
    assert recipe != options(option, str(tmp_path / "other")).recipe


@pytest.mark.parametrize("option", ["--doubt", "--peak", "--practice", "--drawn"])
def test_a_run_that_learns_otherwise_is_another_run(option: str) -> None:
    assert reading_options(option, "0.01").recipe != reading_options().recipe


@pytest.mark.parametrize("option", ["--doubt 1.1", "--practice -0.1", "--drawn 2", "--peak 0"])
def test_shares_and_rates_that_cannot_be_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        reading_options(*option.split())
    assert f"{option.split()[0]} must" in capsys.readouterr().err


def test_rate_and_practice_fall_from_what_a_run_begins_with() -> None:
    assert rate(0.1, 16) == PEAK
    assert rate(0.1, 16, 1e-4) == 1e-4
    assert rate(1.0, 16, 1e-4) == pytest.approx(1e-6)
    assert [practice(0), practice(0, 0.2), practice(1, 0.2)] == pytest.approx([0.8, 0.2, 0.08])


def test_the_same_run_may_be_started_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = options("--from", str(tmp_path)).recipe
    monkeypatch.chdir(tmp_path)
    assert options("--from", ".").recipe == recipe


@pytest.mark.parametrize("option", [["--doubt", "0.5"], ["--device", "cuda"]])
def test_not_every_run_can_doubt_or_use_a_gpu(option: list[str]) -> None:
    with pytest.raises(SystemExit):
        options(*option)


def test_a_vocabulary_that_weights_may_depend_on_stays(tmp_path: Path) -> None:
    ours, one, other = tmp_path / "tokenizer.model", tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "tokenizer.model").write_text(folder.name)
    provide_vocabulary(ours, one)
    provide_vocabulary(ours, one)
    provide_vocabulary(ours, None)
    with pytest.raises(SystemExit, match="is another vocabulary than"):
        provide_vocabulary(ours, other)
    assert ours.read_text() == "one"


def test_no_font_that_was_cut_has_a_reserved_name() -> None:
    fonts = sorted(FONTS.glob("*.woff"))
    assert fonts
    for font in fonts:
        assert "reserved font name" not in copyright_of(font).lower(), font


def test_every_font_has_its_licence_and_every_licence_its_font() -> None:
    named = {font.stem.rpartition("-")[0] for font in FONTS.glob("*.woff")}
    assert {file.name.removesuffix(".LICENSE.txt") for file in FONTS.glob("*.txt")} == named
    for font in FONTS.glob("*.woff"):
        licence = FONTS / f"{font.stem.rpartition('-')[0]}.LICENSE.txt"
        first = licence.read_text(encoding="utf-8").splitlines()[0]
        assert first.replace("(c) ", "").startswith(copyright_of(font).replace("(c) ", "")), font


def copyright_of(font: Path) -> str:
    """As the font's own name table has it: name 0, for Windows, of a WOFF file."""
    data = font.read_bytes()
    [tables] = struct.unpack_from(">H", data, 12)
    entries = (struct.unpack_from(">4sIIII", data, 44 + 20 * index) for index in range(tables))
    [(start, size, whole)] = [entry[1:4] for entry in entries if entry[0] == b"name"]
    table = data[start : start + size] if size == whole else zlib.decompress(data[start : start + size])
    _, count, texts = struct.unpack_from(">HHH", table)
    names = (struct.unpack_from(">6H", table, 6 + 12 * index) for index in range(count))
    length, offset = next(name[4:] for name in names if (name[0], name[3]) == (3, 0))
    return table[texts + offset : texts + offset + length].decode("utf-16-be")
