"""What is asked about each value: what its schema says, else its name. Pure text."""

import re
from collections import Counter
from collections.abc import Sequence

from edgevlm_server.filled.tree import Leaf

_BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_.\-/]+")


def questions(asked: Sequence[Leaf]) -> dict[Leaf, str | None]:
    """One for each; `None` for the only one if nothing is said of it: what the user asks is its question."""
    if len(asked) == 1:
        return {leaf: _said(leaf) for leaf in asked}
    texts = {leaf: _said(leaf) or _named(leaf) for leaf in asked}
    counts = Counter(texts.values())
    # a type that is used twice says the same of both
    return {leaf: f"{_name(leaf)}: {text}" if counts[text] > 1 else text for leaf, text in texts.items()}


def alone(leaf: Leaf) -> str:
    """A question about the only value where the user asks nothing."""
    return _said(leaf) or _named(leaf)


def words(name: str) -> str:
    """A key as people would write it: `oilPressure_bar` is `oil pressure bar`; abbreviations stay as they are."""
    found = (word for word in _BREAKS.split(name) if word)
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in found)


def _said(leaf: Leaf) -> str | None:
    """Its description, or its title; generators make one of the name, which says nothing more."""
    for text in (leaf.schema.get("description"), leaf.schema.get("title")):
        if isinstance(text, str) and text.strip() and words(text).lower() != words(leaf.path[-1]).lower():
            return text.strip()
    return None


def _named(leaf: Leaf) -> str:
    if leaf.is_boolean:
        return f"Yes or no: {_name(leaf)}?"
    return f"What {'are' if leaf.schema.get('type') == 'array' else 'is'} the {_name(leaf)}?"


def _name(leaf: Leaf) -> str:
    return " ".join(filter(None, map(words, leaf.path))) or "answer"
