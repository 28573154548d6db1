"""Fields: whatever a model writes in a field's form becomes a value, or a reason why there is none."""

from decimal import Decimal
from typing import Any

import pytest
from edgevlm_server.guided.compiler import GrammarCompiler
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.guided.grammar import GrammarError
from edgevlm_server.readings.field import Field, Heard, Kind, Reading, Refusal, grammar, read
from edgevlm_server.readings.kinds import Choice, ListOf, Number, Text, boolean
from edgevlm_server.request import Structure
from hypothesis import given
from hypothesis import strategies as st

from tests.server.guided.test_constraints import END, TOKENIZER, written

REFUSAL = Refusal("I cannot see that in the image.")
COMPILER = GrammarCompiler(TOKENIZER, bos_id=1, end_ids={END})
KINDS: list[Kind] = [
    Number(),
    Number(unit="bar", minimum=0, maximum=16, decimals=1),
    Number(unit="°C", decimals=0),
    Text(),
    Text(max_length=1),
    Text(pattern="[A-Z]{2}-[0-9]{4}"),
    Text(pattern=".*", max_length=12),
    Choice.of(["red", "amber", "green", "Ölstand"]),
    Choice({"closed": 0, "open": 1}),
    boolean(),
    ListOf(choices=("red", "amber", "green"), max_items=3),
    ListOf(max_length=5, max_items=2),
    ListOf(choices=("a",), max_items=1),
]
LINES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1, max_size=12)


def field(kind: Kind, min_confidence: float | None = None) -> Field:
    return Field(name="x", question="?", kind=kind, min_confidence=min_confidence)


def constraint(kind: Kind) -> Constraint:
    return COMPILER.constraint(Structure(grammar(field(kind), REFUSAL), "test", risky=True))


def takes(kind: Kind, text: str) -> bool:
    """Whether a model may answer so, with the space that it writes in front, and end there."""
    place = constraint(kind)
    for token in TOKENIZER.encode(text, space_prefix=True):
        if place.complete or not place.allowed()[token]:
            return False
        place.take(token)
    return place.complete or bool(place.allowed()[END])


def said(
    kind: Kind, text: str, confidence: float = 1.0, *, finished: bool = True, least: float | None = None
) -> Reading:
    return read(field(kind, least), Heard(text, finished, confidence), REFUSAL)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_whatever_a_model_writes_is_read(kind: Kind) -> None:
    place, found = constraint(kind), set()
    for seed in range(60):
        text, reason = written(place.fresh(), seed, max_tokens=max(kind.longest, len(REFUSAL.text)) + 2)
        reading = said(kind, text, finished=reason == "stop")
        assert reading.reason in (None, "refused", "out_of_range", "unfinished"), text
        assert (reading.value is None) == (reading.reason is not None)
        found.add(reading.reason)
    assert None in found


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_every_form_lets_the_model_refuse(kind: Kind) -> None:
    if isinstance(kind, Text) and kind.max_length == 1:
        assert takes(kind, "I")
    assert takes(kind, REFUSAL.text)
    assert said(kind, REFUSAL.text).reason == "refused"
    assert said(kind, "i cannot see  that in the image").reason == "refused"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Number(), "834.2", 834.2),
        (Number(), "-7", -7.0),
        (Number(), "\N{MINUS SIGN}7.5", -7.5),
        (Number(unit="bar"), "7.5 bar", 7.5),
        (Number(unit="bar"), "7.5bar", 7.5),
        (Number(unit="bar"), "7.5 bar.", 7.5),
        (Number(unit="bar"), "7.5", 7.5),
        (Number(unit="°C", decimals=0), "21 °C", 21),
        (Number(decimals=0), "007", 7),
        (Text(), "61A530", "61A530"),
        (Text(pattern="[0-9]{2}[A-Z][0-9]{3}"), "61A530", "61A530"),
        (Choice.of(["Amber", "red"]), "amber", "Amber"),
        (Choice.of(["Amber", "red"]), "Red", "red"),
        (Choice.of(["a", "A"]), "a", "a"),
        (Choice({"10": 10, "1": 1}), "10", 10),
        (Choice({"10": 10, "1": 1}), "1", 1),
        (Choice.of(["10", "10."]), "10.", "10."),
        (Choice.of(["A", "dark red"]), "A.", "A"),
        (Choice.of(["A", "dark red"]), "Dark red", "dark red"),
        (boolean(), "Yes", True),
        (boolean(), "no", False),
        (ListOf(choices=("red", "amber", "green")), "red, amber and green", ["red", "amber", "green"]),
        (ListOf(choices=("red", "dark red")), "dark red,red", ["dark red", "red"]),
        (ListOf(choices=("red",)), "none", []),
        (ListOf(choices=("none", "red")), "none", ["none"]),
        (ListOf(), "a bolt, a nut", ["a bolt", "a nut"]),
        (ListOf(), "None", []),
        (ListOf(), "NONE.", []),
    ],
)
def test_answers_as_models_write_them(kind: Kind, text: str, value: Any) -> None:
    assert takes(kind, text)
    reading = said(kind, text)
    assert (reading.value, type(reading.value)) == (value, type(value))
    assert reading.raw == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Number(), "834.2 bar"),
        (Number(), "1.23456"),
        (Number(decimals=0), "7.55"),
        (Number(decimals=1), "7."),
        (Number(), "about 7"),
        (Text(), "two\nlines"),
        (Text(max_length=3), "fours"),
        (Text(pattern="[0-9]*", max_length=3), "1234"),
        (Choice.of(["red"]), "green"),
        (boolean(), "yes and no"),
        (ListOf(choices=("red",), max_items=2), "red, red, red, red"),
        (ListOf(choices=("red",)), "red, blue"),
    ],
)
def test_other_answers_cannot_be_given(kind: Kind, text: str) -> None:
    assert not takes(kind, text)


@pytest.mark.parametrize(
    ("kind", "whole", "longer"),
    [
        (Text(max_length=3), "two", "four"),
        (Text(max_length=3), "two", "one "),
        (Number(decimals=1), "834.2", "834.25"),
        (Number(decimals=1, unit="bar"), "834.2 bar", "834.25 bar"),
        (Number(decimals=0), "834", "834.2"),
        (Number(), "9" * 12, "9" * 13),
        (Number(), "1", "1,2"),
        (Number(), "12.5", "12.5:3"),
        (Number(), "27.11", "27.11.2"),
        (Number(), "1", "1 2"),
        (Number(), "3", "3-5"),
        (Number(unit="l"), "5 l", "5 l/"),
        (Number(unit="bar"), "5 bar", "5,2 bar"),
        (Choice.of(["10", "25"]), "10", "100"),
        (Choice.of(["10", "25"]), "10", "10.5"),
        (Choice.of(["M", "red"]), "M", "M8"),
        (ListOf(choices=("red", "green"), max_items=1), "red", "red, green"),
        (ListOf(choices=("red", "green"), max_items=1), "none", "red and green"),
        (ListOf(choices=("10", "25")), "25, 10", "25, 100"),
        (ListOf(choices=("10", "25")), "10.", "10.5"),
        (ListOf(max_items=2), "a bolt, a nut", "a bolt, a nut, a pin"),
        (ListOf(max_items=2, max_length=3), "pin, nut", "pin, bolt"),
    ],
)
def test_an_answer_that_goes_on_where_its_form_ends_is_none(kind: Kind, whole: str, longer: str) -> None:
    assert takes(kind, whole) and takes(kind, longer)
    assert [said(kind, text).reason for text in (whole, longer)] == [None, "unfinished"]


def test_a_number_out_of_its_range_is_none() -> None:
    kind = Number(minimum=0, maximum=10, decimals=1)
    assert [said(kind, text).reason for text in ("10.0", "10.1", "0", "-0.1")] == [
        *(None, "out_of_range", None, "out_of_range")
    ]
    assert said(kind, "12").raw == "12"


def test_a_doubtful_answer_is_none() -> None:
    assert said(boolean(), "yes", 0.49, least=0.5).reason == "low_confidence"
    assert said(boolean(), "yes", 0.5, least=0.5).value is True
    assert said(boolean(), "yes", 0.01).value is True
    # a refusal stays one, however sure
    assert said(boolean(), REFUSAL.text, 0.1, least=0.5).reason == "refused"


def test_an_answer_that_is_cut_short_is_none() -> None:
    reading = said(Text(), "61A5", finished=False)
    assert (reading.value, reading.reason, reading.raw) == (None, "unfinished", "61A5")


@pytest.mark.parametrize(
    "kind", [Choice.of([" red"]), Choice.of(["x" * 9000]), Text(pattern="(?=a)"), Text(pattern="a" * 600)]
)
def test_a_form_that_cannot_be_followed_is_refused(kind: Kind) -> None:
    with pytest.raises(GrammarError):
        grammar(field(kind), REFUSAL)


def test_as_many_choices_as_the_api_takes_can_be_followed() -> None:
    """However each may be written: 64 of 128 characters."""
    assert takes(Choice.of([f"{number:02} {'a' * 125}" for number in range(64)]), f"63 {'a' * 125}")


def test_an_instruction_stands_behind_the_question() -> None:
    assert REFUSAL.behind("How hot is it?") == "How hot is it?"
    assert Refusal("Unanswerable", "Say so.").behind("How hot is it?") == "How hot is it?\nSay so."


@given(st.decimals(-(10**9), 10**9, places=3), st.sampled_from([None, "bar", "°C", "%", "l/min"]), st.booleans())
def test_numbers_are_read_as_they_are_written(number: Decimal, unit: str | None, spaced: bool) -> None:
    text = f"{number}{' ' * spaced}{unit}" if unit else f"{number}"
    assert said(Number(unit=unit), text).value == float(number)


@given(st.lists(LINES, min_size=1, max_size=6, unique_by=(str.lower, str.upper)), st.data())
def test_each_choice_is_read_as_itself(choices: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(choices))
    for text in (chosen, chosen[:1].upper() + chosen[1:]):
        assert said(Choice.of(choices), text).value == chosen


@given(st.lists(st.text("abc de", min_size=1, max_size=6).map(str.strip).filter(bool), max_size=6))
def test_lists_are_read_as_they_are_written(items: list[str]) -> None:
    text = ", ".join(items) or "none"
    assert said(ListOf(), text).value == items
    if items:
        kind = ListOf(choices=(*dict.fromkeys(items),))
        assert said(kind, text).value == items
        assert said(kind, f"{', '.join(items[:-1])} and {items[-1]}".removeprefix(" and ")).value == items
