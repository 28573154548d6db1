"""How TextVQA's scorer makes two spellings of an answer equal. Knows text alone.

The order of the steps is the scorer's, and so is what looks like a mistake in it: published scores contain it.
"""

import re

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {"none": "0"} | {word: str(value) for value, word in enumerate(DIGITS)}
ARTICLES = {"a", "an", "the"}
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
COMMA_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
LONE_DOT = re.compile(r"\.(?!\d)")
MOST_DOTS = int(re.UNICODE)
"""The scorer passes a flag where a count belongs, so the dots behind this many stay."""

ENDINGS = {
    "nt": "ai are could did does do had has have is might must need ought should was were would",
    "ve": "could might must not should we what where who would they you",
    "d": "he how it there they where who you someone something",
    "ll": "how it they what who why you somebody someone something",
    "re": "there they what why you",
    "s": "he how that there what when where who why somebody someone",
    "d've": "it she somebody someone something there they we who he",
    "nt've": "could had might should would",
}
"""Endings that people write without their apostrophe, and the words in front of them."""

ODD = {
    "cant": "can't",
    "wont": "won't",
    "shant": "shan't",
    "maam": "ma'am",
    "oclock": "o'clock",
    "twas": "'twas",
    "yall": "y'all",
    "somebody'd": "somebodyd",
    **dict.fromkeys(("ow's'at", "'ows'at", "'ow'sat"), "'ow's'at"),
    **dict.fromkeys(("yall'll", "y'allll"), "y'all'll"),
    **dict.fromkeys(("yall'd've", "y'alld've", "y'all'dve"), "y'all'd've"),
    "youd've": "you'd've",
    "you'dve": "you'd've",
}


def _contractions() -> dict[str, str]:
    table = dict(ODD)
    for ending, words in ENDINGS.items():
        for word in words.split():
            match ending:
                case "nt":
                    table[f"{word}nt"] = f"{word}n't"
                case "d've":
                    table[f"{word}d've"] = table[f"{word}'dve"] = f"{word}'d've"
                case "nt've":
                    table[f"{word}nt've"] = table[f"{word}n'tve"] = f"{word}n't've"
                case _:
                    table[f"{word}{ending}"] = f"{word}'{ending}"
    return table


CONTRACTIONS = _contractions()


def normal(text: str) -> str:
    """The form in which answers are compared."""
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    words = [NUMBERS.get(word, word) for word in _without_punctuation(text).split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_punctuation(text: str) -> str:
    """A mark that stands beside a space anywhere goes everywhere, any other becomes a space."""
    found = text
    for mark in PUNCTUATION:
        gone = f"{mark} " in text or f" {mark}" in text or COMMA_IN_NUMBER.search(text)
        found = found.replace(mark, "" if gone else " ")
    return LONE_DOT.sub("", found, count=MOST_DOTS)
