"""`edgevlm chat`: pictures, history, and beginning anew, as typed in a terminal."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgevlm_server.runtime.sampling import NotFinite
from edgevlm_server.settings import Settings
from edgevlm_server.text.prompt import Mark, Turn

from edgevlm.cli import main
from edgevlm.offline import local_model
from edgevlm.offline.local_model import LocalModel
from tests.conftest import GOLDEN

PICTURE = GOLDEN / "v2" / "image.png"
Bundles = Callable[[str], Path]


@pytest.fixture
def bundle(bundles: Bundles) -> Path:
    return bundles("v2")


@pytest.fixture
def typed(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[list[str], str]]:
    def chat(*lines: str, pictures: tuple[Path, ...] = ()) -> tuple[list[str], str]:
        """The answers, and what was said on standard error."""
        left = iter(lines)

        def typed_line(prompt: str) -> str:
            if (line := next(left, None)) is None:
                raise EOFError
            return line

        monkeypatch.setattr("builtins.input", typed_line)
        assert main(["chat", str(bundle), *map(str, pictures), "--max-tokens", "6"]) == 0
        out, err = capsys.readouterr()
        # not `splitlines`: a model of random weights says form feeds too
        return out.removesuffix("\n").split("\n"), err

    return chat


def expected(bundle: Path, *turns: Turn, pictures: int = 1) -> str:
    with LocalModel.load(bundle, Settings.offline()) as model:
        return "".join(model.answer(turns, model.features([PICTURE] * pictures), 6))


def test_values_that_are_no_numbers_are_one_sentence_and_the_conversation_goes_on(
    bundle: Path, typed: Callable[..., tuple[list[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Iterator[str]:
        raise NotFinite

    monkeypatch.setattr(local_model, "said", broken)
    _, err = typed("What is it?", "/new")
    assert "The model computed values that are not finite" in err


@pytest.mark.slow
def test_a_second_question_remembers_picture_question_and_answer(
    bundle: Path, typed: Callable[..., tuple[list[str], str]]
) -> None:
    answers, _ = typed(f"/image {PICTURE}", "What is it?", "", "Why?")
    first = Turn("user", (Mark.IMAGE, "What is it?"))
    assert answers[0] == expected(bundle, first)
    said = Turn("assistant", (answers[0].strip(),))
    assert answers[1] == expected(bundle, first, said, Turn("user", ("Why?",)))


@pytest.mark.slow
def test_it_begins_anew_and_ends_when_told(bundle: Path, typed: Callable[..., tuple[list[str], str]]) -> None:
    answers, _ = typed("What is it?", "/new", "What is it?", "/quit", "And this?", pictures=(PICTURE,))
    assert answers == [
        expected(bundle, Turn("user", (Mark.IMAGE, "What is it?"))),
        expected(bundle, Turn("user", ("What is it?",)), pictures=0),
    ]


def test_mistakes_do_not_end_it(bundle: Path, typed: Callable[..., tuple[list[str], str]]) -> None:
    answers, said = typed("/image none.png", "/what", "word " * 5000, "What is it?")
    assert answers == [expected(bundle, Turn("user", ("What is it?",)), pictures=0)]
    assert "none.png cannot be read" in said
    assert said.count("/image FILE shows a picture") == 2
    assert "shorten it" in said
