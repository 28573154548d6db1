"""The six scores, on answers whose scores were worked out by hand."""

from pathlib import Path

import pytest

from edgevlm.errors import CommandError
from edgevlm.evaluation.published import mmbench, mme, pope, sqa
from edgevlm.evaluation.published.question import NAMES, Answer, Units
from edgevlm.evaluation.published.run import load
from tests.evaluation.folders import FOLDERS, SHORT, picture


def judged(name: str, data: Path, texts: list[str]) -> Units:
    benchmark = load(name)
    questions = benchmark.questions(FOLDERS[name](data))
    return benchmark.judged(data, [Answer(*pair) for pair in zip(questions, texts, strict=True)])


def score(name: str, data: Path, *texts: str) -> dict[str, str]:
    """The rows of the table."""
    units = judged(name, data, list(texts))
    rows = load(name).rows(units.values())
    assert float(rows[0][1]) == pytest.approx(load(name).headline(units.values()), abs=0.005)
    return dict(rows)


def test_gqa_compares_whole_answers_without_final_dots_and_case(tmp_path: Path) -> None:
    assert score("gqa", tmp_path, "Yes.", "traffic  light", "a red") == {
        "accuracy": "33.33",
        "binary questions": "100.00",
        "open questions": "0.00",
    }
    assert score("gqa", tmp_path, "yes, it is", "Traffic light..", "red ")["accuracy"] == "33.33"


def test_textvqa_scores_softly(tmp_path: Path) -> None:
    # two of ten say "nokia": 0.6; three say 3000: 0.9
    assert score("textvqa", tmp_path, "The Nokia!", "3000") == {"accuracy": "75.00"}
    assert score("textvqa", tmp_path, "nokia phone", "unanswerable.") == {"accuracy": "100.00"}


def test_textvqa_finds_the_question_by_its_line(tmp_path: Path) -> None:
    questions = load("textvqa").questions(FOLDERS["textvqa"](tmp_path))
    asked = load("textvqa").judged(tmp_path, [Answer(question, "") for question in questions])
    assert list(asked) == ["p1/what brand?", "p1/what number?"]
    turned = questions[0]._replace(prompt=f"Reference OCR token: NOKIA\nWhat brand?{SHORT}")
    assert list(load("textvqa").judged(tmp_path, [Answer(turned, "")])) == ["p1/what brand?"]
    for prompt, told in (("What brand?", "does not have the lines"), (f"Whose?{SHORT}", "has no question 'whose")):
        with pytest.raises(CommandError, match=told):
            load("textvqa").judged(tmp_path, [Answer(questions[0]._replace(prompt=prompt), "")])


def test_pope_is_the_mean_f1(tmp_path: Path) -> None:
    # random: yes yes no no against yes no yes no: precision and recall 1/2; popular: all right
    rows = score("pope", tmp_path, "Yes", "Yes", "No", "no", "yes", "No, there is not.", "Of course", "not")
    assert rows["mean F1"] == "75.00"
    assert [rows[f"random, {name}"] for name in ("f1", "accuracy", "precision", "recall", "answered yes")] == (
        ["50.00"] * 5
    )
    assert rows["popular, f1"] == "100.00"


def test_pope_without_any_yes_is_zero(tmp_path: Path) -> None:
    rows = score("pope", tmp_path, *["no"] * 8)
    assert (rows["mean F1"], rows["random, accuracy"], rows["random, precision"]) == ("0.00", "50.00", "0.00")


def test_pope_wants_as_many_labels_as_questions(tmp_path: Path) -> None:
    questions = pope.questions(FOLDERS["pope"](tmp_path))
    (tmp_path / "coco/coco_pope_random.json").write_text('{"label": "no"}\n')
    with pytest.raises(CommandError, match=r"coco_pope_random.json has 1 labels for the 4 questions"):
        pope.judged(tmp_path, [Answer(questions[0], "yes")])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("no", "no"),
        ("No, there is", "no"),
        ("It is not there", "no"),
        ("Yes. No.", "yes"),
        ("NO", "yes"),
        ("none", "yes"),
        ("There is\nno cat", "yes"),
        ("", "yes"),
    ],
)
def test_pope_words(text: str, wanted: str) -> None:
    assert pope.normal(text) == wanted


def test_mme_adds_accuracy_and_accuracy_plus(tmp_path: Path) -> None:
    # count: three of four right, one picture of two with both; code: both right
    rows = score("mme", tmp_path, "Yes", "No", "Yes", "Yes", "yes.", "No way")
    assert rows == {"perception": "125.00", "cognition": "200.00", "count": "125.00", "code_reasoning": "200.00"}


def test_mme_wants_an_answer_for_each_question(tmp_path: Path) -> None:
    questions = mme.questions(FOLDERS["mme"](tmp_path))
    with pytest.raises(CommandError, match="no answer to 'Who' about count/0001"):
        mme.judged(tmp_path, [Answer(questions[0]._replace(prompt="Who"), "")])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Yes", "yes"),
        ("no", "no"),
        ("yes, no", "yes"),
        ("Not", "no"),
        ("\tNo", "no"),
        ("It is a no", "other"),
        ("I say yes", "other"),
        ("", "other"),
        ("eyes", "yes"),
    ],
)
def test_mme_words(text: str, wanted: str) -> None:
    assert mme.normal(text) == wanted


def test_scienceqa_counts_questions_with_a_picture(tmp_path: Path) -> None:
    assert score("sqa", tmp_path, "B", "C", "B") == {"accuracy, with picture": "50.00", "accuracy, all": "66.67"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("B", "B"),
        ("B. y", "B"),
        ("The answer is B.", "B"),
        ("I think: The answer is A, surely", "A"),
        ("The answer is A. The answer is B.", "none"),
        ("B.", "none"),
        ("b", "none"),
        ("AB", "none"),
        ("C", "none"),
        ("(B)", "none"),
        ("", "none"),
    ],
)
def test_scienceqa_letters(text: str, wanted: str) -> None:
    assert sqa.letter(text, 2) == wanted


def test_scienceqa_shows_the_middle_and_records_the_mark(tmp_path: Path) -> None:
    first, second, third = sqa.questions(FOLDERS["sqa"](tmp_path))
    assert first.prompt == f"<image>\n{first.text}"
    assert first.text.startswith("Which?\nA. x\nB. y\nAnswer with the option's letter")
    assert (second.picture, second.prompt) == (None, second.text)
    assert third.text.startswith("Why?\nA. x\nB. y\nAnswer")
    # 30 x 20, black up to column 15: the middle begins at column 5
    assert first.picture is not None and first.picture() == picture(size=(20, 20))


def test_mmbench_counts_questions_with_all_rotations_right(tmp_path: Path) -> None:
    assert score("mmbench", tmp_path, "A", "A", "B") == {"all rotations right": "50.00", "single rows right": "66.67"}
    assert score("mmbench", tmp_path, "A", "a cat", "two") == {
        "all rotations right": "100.00",
        "single rows right": "100.00",
    }


def test_mmbench_prompts(tmp_path: Path) -> None:
    first, second, third = mmbench.questions(FOLDERS["mmbench"](tmp_path))
    assert (first.id, first.prompt) == (7, "What is it?\nA. a cat\nB. a dog")
    assert first.text == f"{first.prompt}\nAnswer with the option's letter from the given choices directly."
    assert second.prompt == "What is it?\nA. a dog\nB. a cat"
    # an option that reads "None" ends the list, as in upstream's generator
    assert third.prompt == 'Look\tclosely.\nSay "how"\nA. one\nB. two'
    assert first.picture is not None and first.picture() == picture()


@pytest.mark.parametrize(
    ("cell", "option"), [("Na", "Na"), ("Null", "Null"), ("NA", None), ("NaN", None), ("None", None)]
)
def test_mmbench_knows_sodium_from_nothing(tmp_path: Path, cell: str, option: str | None) -> None:
    table = FOLDERS["mmbench"](tmp_path) / mmbench.TABLE
    table.write_text(table.read_text().replace('"a dog"\t""\t""', f'"a dog"\t"{cell}"\t""', 1))
    first, *_ = mmbench.questions(tmp_path)
    assert first.prompt == "What is it?\nA. a cat\nB. a dog" + (f"\nC. {option}" if option else "")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A", "A"),
        ("(B)", "B"),
        ("B. a dog", "B"),
        ("The answer is B.", "B"),
        ("A dog", "A"),  # in three words or fewer it is the letter
        ("A dog it is", "B"),
        ("A and B", None),
        ("It is a dog", "B"),
        ("a cat or a dog", None),
        ("B is what I would choose here", None),
        ("a dog " * 4, None),  # longer than all options twice
        ("b", None),
        ("", None),
    ],
)
def test_mmbench_letters(text: str, wanted: str | None) -> None:
    assert mmbench.letter(text, {"A": "a cat", "B": "a dog"}) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        load(name).questions(tmp_path)
