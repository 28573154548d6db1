"""Grammars in llguidance's Lark, for the forms that an answer can be asked to have. Pure text; no tokens.

A model writes its answer behind `ASSISTANT:` and so begins it with a space, which is not part of the answer. Every
grammar lets it, for a model that must begin in another way than it has learned answers worse.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from llguidance import regex_to_lark

from edgevlm_server.errors import Code
from edgevlm_server.guided.json_schema import MAX_SIZE, SchemaError, check_regex, checked

START = 'start: SPACE? answer\nSPACE: " "\n'
MAX_CHARACTERS = 8192
"""Of all texts to choose from."""
STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON on one line. White space of the model's choice costs a step a token, and some models write it without end."""


class GrammarError(Exception):
    """No grammar can be made of what was asked for; one clear sentence."""

    def __init__(self, message: str, code: Code = "invalid_value") -> None:
        super().__init__(message)
        self.code = code


def any_object() -> str:
    """A JSON object, whatever is in it."""
    return _json({"type": "object"})


def valid_json(schema: dict[str, Any]) -> str:
    """JSON that a schema allows. Raises `GrammarError` for a schema that cannot be followed."""
    try:
        return _json(checked(schema))
    except SchemaError as error:
        raise GrammarError(str(error), "unsupported_schema") from None


def that_matches(regex: str) -> str:
    """Text that a regular expression matches as a whole. Raises `GrammarError` for one that is too long."""
    return f"{START}answer: {matching(regex)}"


def matching(regex: str) -> str:
    """The same as an expression of Lark's, for a part of an answer."""
    try:
        check_regex(regex)
    except SchemaError as error:
        raise GrammarError(str(error)) from None
    return f"/{regex_to_lark(regex, 'd')}/"


def one_of(texts: Sequence[str]) -> str:
    """One of some texts. Raises `GrammarError` if one could not be told from the answer's own white space."""
    return f"{START}answer: {alternatives(texts)}"


def alternatives(texts: Iterable[str], spellings: Iterable[str] | None = None) -> str:
    """The same as an expression of Lark's, for a part of an answer; `spellings` are all ways to write the texts."""
    texts = list(texts)
    if any(text != text.lstrip() for text in texts):
        raise GrammarError("A choice cannot begin with white space.")
    if sum(map(len, texts)) > MAX_CHARACTERS:
        raise GrammarError(f"All choices together can have at most {MAX_CHARACTERS} characters.")
    return " | ".join(map(json.dumps, texts if spellings is None else spellings))


def or_refusal(value: str, refusal: str) -> str:
    """A value, an expression of Lark's terminals, or the text with which a model says that it cannot tell."""
    return f"{START}answer: VALUE | {json.dumps(refusal)}\nVALUE: {value}"


def _json(schema: dict[str, Any]) -> str:
    text = json.dumps({**schema, "x-guidance": STYLE}, allow_nan=False)
    if len(text) > MAX_SIZE:
        raise GrammarError(f"A schema can have at most {MAX_SIZE} characters.")
    return f"{START}answer: %json {text}"
