"""Kinds of values: how a model may write each, and what it has written. Pure text; knows no model and no wire shape.

A form takes every way that a model is known to write a value; bounds are looked at afterwards, for a number that is
forced into a range is a wrong number. Where a form has to end it has room for one digit, character or item more: what
goes on there was cut short, and does not pass for a value.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from edgevlm_server.guided.grammar import alternatives, matching
from edgevlm_server.readings.field import CutShort, OutOfRange
from edgevlm_server.refusals import same_words

WHOLE_DIGITS = 12
DECIMALS = 3
"""Digits behind the point, unless a field says how many."""
MOST_DECIMALS = 6
MAX_LENGTH = 64
"""Characters of a text, unless a field says how many."""
MOST_ITEMS = 8

YES_AND_NO = {"yes": True, "no": False}
NOTHING = ("none", "None")
"""An empty list."""
_SIGN = "[-\N{MINUS SIGN}]?"
_NUMBER = re.compile(rf"{_SIGN}([0-9]+)(?:\.([0-9]+))?")
_MORE_NUMBER = r"[-.,:\/' ][0-9]"
"""Of 1,250, 1.250.000, 1 250, 12:34, 27.11.2026, 3-5 and 5/8 the beginning is another number."""
_MORE_WORD = r"(/\.|\.?[^\s.,;:!?]/)?"
"""Behind a text: nothing, a full stop, or what makes it the beginning of another."""
_WORD = re.compile(r"[^\W\d_]{2}$")
_VISIBLE = r"[^\s]"
_ANY = r"[^\x00]"
_COMMA = r", ?"
_BETWEEN_CHOICES = r", and |, ?| and "


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """With `decimals` digits behind the point at most; 0 is a whole number. Its unit may stand behind it or not.

    A unit begins with no digit, point or sign.
    """

    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    decimals: int = DECIMALS

    @property
    def longest(self) -> int:
        return WHOLE_DIGITS + self.decimals + 14 + len((self.unit or "").encode())

    def form(self) -> str:
        unit = f" (/ ?/ {json.dumps(self.unit)} {_MORE_WORD})?" if self.unit else ""
        digits = rf"[0-9]{{1,{WHOLE_DIGITS + 1}}}(\.[0-9]{{1,{self.decimals + 1}}})?"
        return rf"/{_SIGN}{digits}({_MORE_NUMBER})?/{unit}"

    def read(self, text: str) -> float | int:
        found = _NUMBER.match(text)
        assert found is not None, "the form begins with a number"
        long = len(found[1]) > WHOLE_DIGITS or len(found[2] or "") > self.decimals
        if long or text[found.end() :].strip() not in ("", self.unit, f"{self.unit}."):
            raise CutShort
        number = Decimal(found[0].replace("\N{MINUS SIGN}", "-"))
        # as they are written: 0.1 is no power of two
        least, most = (None if one is None else Decimal(str(one)) for one in (self.minimum, self.maximum))
        if (least is not None and number < least) or (most is not None and number > most):
            raise OutOfRange
        return float(number) if self.decimals else int(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line, or with a `pattern` whatever that matches as a whole; its first character is no white space."""

    pattern: str | None = None
    max_length: int = MAX_LENGTH
    unit: None = None

    @property
    def longest(self) -> int:
        return 4 * (self.max_length + 1)

    def form(self) -> str:
        if self.pattern is None:
            return _text(_VISIBLE, r"[^\r\n]", self.max_length + 1)
        return f"{matching(self.pattern)} & {_text(_VISIBLE, _ANY, self.max_length)}"

    def read(self, text: str) -> str:
        if len(text) > self.max_length:
            raise CutShort
        return text.rstrip()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, each with the text that stands for it; that may begin in upper or in lower case.

    Behind a text that is no word there is room for more: 10 may be the beginning of 100, and M of M8.
    """

    values: Mapping[str, Any]
    unit: None = None

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Choice":
        """Texts that are their own values."""
        return cls({text: text for text in texts})

    @property
    def longest(self) -> int:
        return max(len(text.encode()) for text in self.values) + 5

    def form(self) -> str:
        words = [text for text in self.values if _WORD.search(text)]
        others = [text for text in self.values if not _WORD.search(text)]
        ways = [f"({_spelled(others)}) {_MORE_WORD}"] if others else []
        return " | ".join([*ways, *([_spelled(words)] if words else [])])

    def read(self, text: str) -> Any:
        spellings = _spellings(self.values)
        meant = spellings.get(text) or spellings.get(text.removesuffix("."))
        if meant is None:
            raise CutShort
        return self.values[meant]


def boolean() -> Choice:
    """Yes or no."""
    return Choice(YES_AND_NO)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """Some of `choices`, or any texts without commas, with commas between them; or `none`."""

    choices: tuple[str, ...] | None = None
    max_items: int = MOST_ITEMS
    max_length: int = MAX_LENGTH
    """Of a text."""
    unit: None = None

    @property
    def longest(self) -> int:
        item = 4 * (self.max_length + 1) if self.choices is None else max(len(one.encode()) for one in self.choices)
        return (self.max_items + 1) * (item + len(", and ")) + 5

    def form(self) -> str:
        if self.choices is None:
            item, between, more = _text(r"[^\s,]", r"[^,\r\n]", self.max_length + 1), _COMMA, ""
        else:
            item, between, more = _spelled(self.choices), _BETWEEN_CHOICES, f" {_MORE_WORD}"
        return f"({item}) (/{between}/ ({item})){{0,{self.max_items}}}{more} | {alternatives(NOTHING)}"

    def read(self, text: str) -> list[str]:
        items = self._texts(text) if self.choices is None else self._chosen(text, self.choices)
        if len(items) > self.max_items:
            raise CutShort
        return items

    def _texts(self, text: str) -> list[str]:
        items = [] if same_words(text) in NOTHING else [item.lstrip() for item in text.split(",")]
        if any(len(item) > self.max_length for item in items):
            raise CutShort
        return [item.rstrip() for item in items]

    def _chosen(self, text: str, choices: tuple[str, ...]) -> list[str]:
        spellings = _spellings(choices)
        if text in NOTHING and text not in spellings:
            return []
        # where one choice begins like another, the longer one is meant
        ways = "|".join(map(re.escape, sorted(spellings, key=len, reverse=True)))
        for whole in (text, text.removesuffix(".")):
            found = [*re.finditer(f"({ways})(?:{_BETWEEN_CHOICES}|$)", whole)]
            if "".join(one[0] for one in found) == whole:
                return [spellings[one[1]] for one in found]
        raise CutShort


def _spellings(texts: Iterable[str]) -> dict[str, str]:
    """Ways to write each text, and which it is: as it stands, else with its first letter in the other case."""
    exact = {text: text for text in texts}
    others = {way: text for text in exact for way in (text[:1].lower() + text[1:], text[:1].upper() + text[1:])}
    return others | exact


def _spelled(texts: Collection[str]) -> str:
    """Any of these ways, as an expression of Lark's."""
    return alternatives(texts, _spellings(texts))


def _text(first: str, others: str, length: int) -> str:
    """A text of at most so many characters, by the classes of its first and of the others."""
    return f"/{first}{others}{{0,{length - 1}}}/"
