"""Questions over HTTP: several at a time, in the file's order, once each, and again only what has no answer yet."""

import asyncio
import base64
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from edgevlm.cli import main
from edgevlm.evaluation.published import asking
from tests.evaluation.folders import FOLDERS, picture
from tests.evaluation.scripted import Reply, Script, pictures_of, scripted_server, text_of

FIELDS = {"question_id", "prompt", "text", "answer_id", "model_id", "metadata"}


def evaluate(url: str, data: Path, file: Path, *options: str, name: str = "gqa") -> int:
    return main(["eval", name, "--url", url, "--data", str(data), "--answers", str(file), *options])


def written(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def right(body: dict[str, Any]) -> Reply:
    """Right answers to GQA's questions."""
    text = text_of(body)
    return 200, " Yes." if "day" in text else "Traffic light" if "What" in text else "red"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "gqa"
    folder.mkdir()
    return FOLDERS["gqa"](folder)


def test_the_score_and_the_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, file = Script(right), tmp_path / "new" / "answers.jsonl"
    with scripted_server(script) as url:
        assert evaluate(url, data, file) == 0
    out = capsys.readouterr().out
    assert "GQA testdev-balanced, accuracy: 3 questions\n\n| scripted | |\n|---|---:|\n| accuracy | 100.00 |" in out
    assert f"The answers are in {file}." in out
    lines = written(file)
    assert all(line.keys() == FIELDS for line in lines)
    assert [(line["question_id"], line["text"]) for line in lines] == [
        ("201", "Yes."),
        ("202", "Traffic light"),
        ("203", "red"),
    ]
    assert lines[0]["prompt"] == "Is it day?\nAnswer the question using a single word or phrase."
    body = next(body for body in script.asked if "day" in text_of(body))
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 128, "scripted")
    assert base64.b64decode(pictures_of(body)[0].partition(",")[2]) == picture()


def test_several_at_a_time_end_up_in_order(data: Path, tmp_path: Path) -> None:
    everyone = threading.Barrier(3, timeout=30)
    first = threading.Event()

    def say(body: dict[str, Any]) -> Reply:
        everyone.wait()
        # the first question is answered last
        if "day" in text_of(body):
            first.wait(5)
        else:
            first.set()
        return right(body)

    with scripted_server(script := Script(say)) as url:
        assert evaluate(url, data, tmp_path / "a", "--concurrent", "3") == 0
    assert script.widest == 3
    assert [line["question_id"] for line in written(tmp_path / "a")] == ["201", "202", "203"]


def test_one_at_a_time(data: Path, tmp_path: Path) -> None:
    with scripted_server(script := Script(right)) as url:
        assert evaluate(url, data, tmp_path / "a", "--concurrent", "1") == 0
    assert script.widest == 1


def test_it_goes_on_where_it_stopped(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a"

    def fails(body: dict[str, Any]) -> Reply:
        return right(body) if "day" in text_of(body) else (500, "The engine died.")

    with scripted_server(Script(fails)) as url:
        assert evaluate(url, data, file, "--concurrent", "1") == 1
    told = capsys.readouterr().err
    assert "question 202: The engine died. (status 500)" in told
    kept = written(file)
    assert len(kept) == 1
    # the process may also end in the middle of a line
    file.write_text(file.read_text() + '{"question_id": "202", "prom')
    with scripted_server(script := Script(right)) as url:
        assert evaluate(url, data, file) == 0
    assert sorted(text_of(body)[:7] for body in script.asked) == ["What is", "Which c"]
    assert written(file)[0]["text"] == kept[0]["text"]
    assert "| accuracy | 100.00 |" in capsys.readouterr().out
    with scripted_server(script := Script(right)) as url:
        assert evaluate(url, data, file) == 0
    assert script.asked == []


def test_a_busy_server_is_asked_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.001)
    refused: set[str] = set()

    def busy(body: dict[str, Any]) -> Reply:
        text = text_of(body)
        if text in refused:
            return right(body)
        refused.add(text)
        return (429 if "day" in text else 503), "Too many requests."

    with scripted_server(script := Script(busy)) as url:
        assert evaluate(url, data, tmp_path / "a") == 0
    assert len(script.asked) == 6


def test_a_server_that_stays_busy_is_given_up(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.0)
    with scripted_server(Script(lambda body: (503, "Busy."))) as url:
        assert evaluate(url, data, tmp_path / "a") == 1
    assert "too busy" in capsys.readouterr().err


def test_nobody_waits_for_a_try_that_is_not_made(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", wait)
    with scripted_server(script := Script(lambda body: (503, "Busy."))) as url:
        assert evaluate(url, data, tmp_path / "a", "--concurrent", "1") == 1
    assert len(script.asked) == len(waits) + 1
    assert 60 <= sum(waits) < 70
    assert "too busy for a minute" in capsys.readouterr().err


def test_another_models_answers_are_not_mixed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model, code in (("one", 0), ("other", 1)):
        with scripted_server(Script(right), model) as url:
            assert evaluate(url, data, tmp_path / "a") == code
    assert "holds answers of one, not of other" in capsys.readouterr().err


def test_a_file_of_something_else_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("{}\n")
    with scripted_server(Script(right)) as url:
        assert evaluate(url, data, tmp_path / "a") == 1
    assert "holds a line that is no answer: '{}'" in capsys.readouterr().err


def test_a_part_is_called_a_part(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_server(script := Script(right)) as url:
        assert evaluate(url, data, tmp_path / "a", "--limit", "2") == 0
    assert len(script.asked) == 2
    assert "2 questions, a part, whose score is not the official one" in capsys.readouterr().out


def test_a_part_leaves_the_other_answers_in_the_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "a"
    with scripted_server(script := Script(right)) as url:
        assert evaluate(url, data, file) == 0
        whole = file.read_text()
        assert evaluate(url, data, file, "--limit", "1") == 0
        assert file.read_text() == whole
        # those that are asked come first
        file.write_text("".join(reversed(whole.splitlines(keepends=True))))
        assert evaluate(url, data, file, "--limit", "2") == 0
    assert file.read_text() == whole
    assert len(script.asked) == 3


def test_a_picture_that_is_missing_is_one_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "images/n2.jpg").unlink()
    with scripted_server(Script(right)) as url:
        assert evaluate(url, data, tmp_path / "a") == 1
    assert "n2.jpg cannot be read: No such file or directory." in capsys.readouterr().err


def test_an_answer_that_the_server_refuses_is_no_wrong_answer(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted_server(Script(lambda body: (200, None))) as url:
        assert evaluate(url, data, tmp_path / "a") == 1
    assert "the server refused its own answer; measure one without --min-confidence" in capsys.readouterr().err


def test_a_key_is_sent(data: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ek-secret\n")
    with scripted_server(script := Script(right)) as url:
        assert evaluate(url, data, tmp_path / "a", "--key-file", str(tmp_path / "key")) == 0
    assert script.keys == {"Bearer ek-secret"}


def test_a_key_that_is_no_text_is_one_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    assert evaluate("http://127.0.0.1:9", data, tmp_path / "a", "--key-file", str(tmp_path / "key")) == 1
    assert "key cannot be read: it is not UTF-8 text." in capsys.readouterr().err


@pytest.mark.parametrize("models", [[], ["--model", "a"], ["--compare", "a", "b"]])
def test_a_key_for_bundles_alone_is_refused(
    models: list[str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("ek-secret\n")
    assert main(["eval", "gqa", "--data", str(data), "--key-file", str(tmp_path / "key"), *models]) == 1
    assert "--key-file is for a running server" in capsys.readouterr().err


def test_two_are_compared(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with scripted_server(Script(right)) as one, scripted_server(Script(lambda body: (200, "red"))) as other:
        assert main(["eval", "gqa", "--data", str(data), "--compare", one, other]) == 0
    out = capsys.readouterr().out
    assert out.count("| scripted | |") == 2
    assert "Difference (second - first): -66.67, 95 % interval" in out
    assert "Right in the first alone 2, in the second alone 0: McNemar's exact test, p = 0.5." in out
    # the same model at two addresses is two files
    assert len(list(tmp_path.glob("gqa-127.0.0.1_*.jsonl"))) == 2


def test_addresses_are_compared_without_http(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with scripted_server(Script(right)) as one, scripted_server(Script(right)) as other:
        addresses = [url.removeprefix("http://") for url in (one, other)]
        assert main(["eval", "gqa", "--data", str(data), "--compare", *addresses]) == 0
    assert "Difference (second - first): +0.00" in capsys.readouterr().out


@pytest.mark.parametrize("other", ["http://127.0.0.1:9", "127.0.0.1:9", "https://127.0.0.1:9"])
def test_two_that_would_share_a_file_are_refused(other: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "gqa", "--data", str(data), "--compare", "http://127.0.0.1:9", other]) == 1
    assert "Both would keep their answers in gqa-127.0.0.1_9.jsonl" in capsys.readouterr().err


def test_compare_leaves_no_room_for_others(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "gqa", "--data", str(data), "--compare", "a", "b", "--url", "http://127.0.0.1:9"]) == 1
    assert "leave out --url, --model and --answers" in capsys.readouterr().err
