"""`edgevlm eval` on all six folders, asked of the product's own server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgevlm.cli import main
from edgevlm.evaluation.published.question import NAMES
from edgevlm.evaluation.published.run import load
from tests.evaluation.folders import FOLDERS
from tests.live import LiveServer


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_question_reaches_the_server(
    name: str, echo_server: LiveServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The echo engine says what it was asked, picture and all."""
    data, file = tmp_path / name, tmp_path / "answers.jsonl"
    data.mkdir()
    questions = load(name).questions(FOLDERS[name](data))
    url = echo_server.url.removeprefix("http://")
    assert main(["eval", name, "--url", url, "--data", str(data), "--answers", str(file)]) == 0
    answers = [json.loads(line) for line in file.read_text().splitlines()]
    for question, answer in zip(questions, answers, strict=True):
        assert (answer["question_id"], answer["prompt"]) == (question.id, question.prompt)
        assert answer["text"].endswith(f"{question.text} ASSISTANT:")
    assert f"{load(name).TITLE}: {len(questions)} questions\n" in capsys.readouterr().out


@pytest.mark.slow
def test_two_bundles_are_compared(
    bundles: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEVLM_MAX_BATCH", "2")
    data = tmp_path / "pope"
    data.mkdir()
    models = [str(bundles(case)) for case in ("v2", "v1")]
    assert main(["eval", "pope", "--data", str(FOLDERS["pope"](data)), "--compare", *models]) == 0
    out = capsys.readouterr().out
    assert "| v2 | |" in out
    assert "| v1 | |" in out
    assert "Difference (second - first):" in out
    assert {path.name[:8] for path in tmp_path.glob("*.jsonl")} == {"pope-v1-", "pope-v2-"}


def test_what_a_server_says_instead_of_a_model_is_passed_on(
    echo_server: LiveServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{echo_server.url}/nothing"
    assert main(["eval", "gqa", "--url", url, "--data", str(FOLDERS["gqa"](tmp_path))]) == 1
    assert "no chat endpoint under /nothing/v1 (404" in capsys.readouterr().err
