"""Questions become typed values that fit them, and typed values become what a free answer would say."""

import jsonschema
import pytest

from edgevlm.evaluation.forms import REFUSAL, Form, form_of, same_number, worded


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        *(("What does the gauge read?", "number"), ("Which number does the display show?", "number")),
        *(("How many bolts are missing?", "integer"), ("What is the serial number on the label?", "text")),
        *(
            ("Is the red lamp on?", "boolean"),
            ("Can you see a metal plate?", "boolean"),
            ("What can you see?", "text"),
        ),
    ],
)
def test_a_question_has_a_type(question: str, kind: str) -> None:
    assert form_of(question) == Form(kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "choice"),
    [
        *(("Which lamp is on?", "amber"), ("What is the colour of the lamp that is on?", "none")),
        *(("What color are the digits?", "white"), ("Where is the defect on the plate?", "upper left")),
        *(("Which defect does the plate have?", "crack"), ("What kind of number is on the label?", "lot number")),
    ],
)
def test_a_question_has_choices(question: str, choice: str) -> None:
    assert choice in form_of(question).choices


def test_a_leaf_takes_values_and_null() -> None:
    for question, value in (("What does the gauge read?", 7.5), ("Which lamp is on?", "red"), ("Is it on?", True)):
        leaf = form_of(question).leaf()
        for allowed in (value, None):
            jsonschema.validate(allowed, leaf)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate("magenta", leaf)


def test_values_are_worded_as_the_model_words_them() -> None:
    assert [worded(value) for value in (True, False, 3, 7.5, "A1", None)] == ["yes", "no", "3", "7.5", "A1", REFUSAL]


def test_numbers_are_compared_as_numbers() -> None:
    assert same_number("2.9", "2.90") and same_number("7.0", "7")
    assert not same_number("2.9", "2.8") and not same_number("red", "red")
