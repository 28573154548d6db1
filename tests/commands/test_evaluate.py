"""`edgevlm eval demo`: the same answers through HTTP and without, every question on record, wrong ones marked."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from edgevlm.cli import main
from edgevlm.evaluation import answerers
from edgevlm.own_server import own_server
from tests.live import LiveServer

pytestmark = pytest.mark.slow


def evaluate(bundle: Path, folder: Path, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """Every answer, and the page."""
    answers, sheet = folder / "answers.jsonl", folder / "sheet.html"
    files = ["--answers", str(answers), "--sheet", str(sheet)]
    assert main(["eval", "demo", "--model", str(bundle), "--pictures", "1", *files, *arguments]) == 0
    return [json.loads(line) for line in answers.read_text().splitlines()], sheet.read_text()


@pytest.mark.slow
def test_http_and_engine_give_the_same_answers(demo_model: Path, tmp_path: Path) -> None:
    (tmp_path / "http").mkdir()
    over_http, _ = evaluate(demo_model, tmp_path / "http")
    directly, page = evaluate(demo_model, tmp_path, "--engine")
    assert over_http == directly
    assert {line["set"] for line in directly} == {"held-out pictures", "held-out fonts", "held-out wording"}
    assert all(line["seed"] >= 900_000_000 for line in directly)
    assert page.count("<p>") == sum(line["right"] for line in directly)
    assert page.count("class=wrong") == sum(not line["right"] for line in directly)
    assert len(re.findall("<img alt='' src='data:image/jpeg;base64,", page)) == page.count("<figure>") > 8


def test_a_server_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "demo", "--pictures", "1", "--url", "http://127.0.0.1:9"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_server_that_refuses_is_one_sentence(echo_server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "demo", "--pictures", "1", "--url", f"{echo_server.url}/nothing"]) == 1
    assert f"{echo_server.url}/nothing gave no answer (status 404)." in capsys.readouterr().err


def test_a_server_that_wants_a_key_is_given_it(
    bundles: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text(add_key(tmp_path / "keys", "quality") + "\n")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys")) as server:
        arguments = ["eval", "demo", "--pictures", "1", "--url", server.url]
        assert main(arguments) == 1
        assert "--key-file names the file that holds it (401)" in capsys.readouterr().err
        assert main([*arguments, "--key-file", str(tmp_path / "key")]) == 0
        assert main([*arguments, "--key-file", str(tmp_path / "key"), "--forms"]) == 0
    assert "display reading" in capsys.readouterr().out


def test_a_key_is_for_a_running_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("x\n")
    assert main(["eval", "demo", "--key-file", str(tmp_path / "key")]) == 1
    assert "--key-file is for a running server" in capsys.readouterr().err


@pytest.mark.parametrize("other", [["--engine"], ["--model", "bundle"]])
def test_a_server_and_a_model_of_ones_own_exclude_each_other(
    other: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "demo", "--url", "http://127.0.0.1:9", *other]) == 1
    assert "leave out --model and --engine" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_sentence(
    demo_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["eval", "demo", "--engine", "--model", str(demo_model), "--pictures", "1"]
    assert main([*arguments, "--answers", str(tmp_path / "absent" / "file")]) == 1
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err
    assert "Expected calibration error" in captured.out


def test_a_server_that_refuses_doubtful_answers_is_asked_for_them(
    demo_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(min_confidence=1.0)
    with LiveServer(lambda: load_model(demo_model, settings), settings) as server:
        arguments = ["eval", "demo", "--pictures", "1", "--url", server.url]
        assert main(arguments) == 0
        assert "| lit lamp | 1 | 100.0 |" in capsys.readouterr().out
        assert main([*arguments, "--forms"]) == 0
    assert "| lit lamp | 1 | 100.0 | 100.0 | 100.0 |" in capsys.readouterr().out


def test_three_ways_to_ask_stand_side_by_side_and_need_one_server(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Path] = []

    def counted(bundle: Path) -> AbstractContextManager[str]:
        started.append(bundle)
        return own_server(bundle)

    monkeypatch.setattr(answerers, "own_server", counted)
    assert main(["eval", "demo", "--forms", "--model", str(demo_model), "--pictures", "1"]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    rows = {line[0].removeprefix("| "): line[1:] for line in lines if len(line) > 4}
    for family in ("display reading", "gauge reading", "label text", "unanswerable"):
        _, free, _, field, *_ = rows[family]
        assert free == field == "100.0", family
    assert len(started) == 1


@pytest.mark.parametrize("other", [["--engine"], ["--answers", "file"], ["--sheet", "file"]])
def test_the_three_ways_make_one_table(other: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "demo", "--forms", *other]) == 1
    assert "leave out --engine, --answers and --sheet" in capsys.readouterr().err


def test_confidence_is_judged_and_a_temperature_found_by_the_engine_alone(
    demo_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["eval", "demo", "--model", str(demo_model), "--pictures", "1"]
    assert main(arguments) == 0
    over_http = capsys.readouterr().out
    assert "Expected calibration error" in over_http and "temperature" not in over_http
    assert main([*arguments, "--engine"]) == 0
    assert "Too few wrong answers to fit a temperature" in capsys.readouterr().out
