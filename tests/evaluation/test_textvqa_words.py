"""Each step of TextVQA's normalisation, with results worked out by hand from the scorer's rules."""

import pytest

from edgevlm.evaluation.published.textvqa import agreement
from edgevlm.evaluation.published.textvqa_words import normal

WORDS = {
    # case, commas and question marks
    "The Coca-Cola.": "coca cola",
    "3,000": "3000",
    "really?": "really",
    # a possessive becomes a word of its own, and articles go
    "it's": "it 's",
    "the dog's a": "dog 's",
    "A": "",
    "an the": "",
    # white space
    " new\nyork\tcity ": "new york city",
    # numbers in words
    "two dogs": "2 dogs",
    "none": "0",
    "ten zero": "10 0",
    "Eleven": "eleven",
    # a mark between letters becomes a space, beside a space it goes everywhere
    "red/blue": "red blue",
    "red/blue / green": "redblue green",
    "(left)": "left",
    "semi;colon": "semi colon",
    "a_b=c+d": "b c d",
    'say "hi"': "say hi",
    "user@host": "user host",
    "wow!": "wow",
    # dots stay in front of digits alone
    "a.b.c": "abc",
    "$5.00": "$5.00",
    "no. 5": "no 5",
    ".5": ".5",
    "v1.2.": "v1.2",
    # contractions get their apostrophe, in most cases
    "dont": "don't",
    "shouldn'tve": "shouldn't've",
    "theyre": "they're",
    "oclock": "o'clock",
    "somebody'd": "somebodyd",
    "y'allll": "y'all'll",
    # what the table does not have stays
    "ill": "ill",
    "im": "im",
    # others than ASCII
    "Größe": "größe",
}


@pytest.mark.parametrize(("text", "wanted"), WORDS.items())
def test_spellings(text: str, wanted: str) -> None:
    assert normal(text) == wanted


def test_only_so_many_dots_go_as_the_scorer_takes_away() -> None:
    assert normal("." * 40) == "." * 8


@pytest.mark.parametrize(("people", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_agreement_with_ten_people(people: int, score: float) -> None:
    assert agreement("x", ["x"] * people + ["y"] * (10 - people)) == pytest.approx(score)
