"""Given values as a model would write them. Pure text."""

import json
from collections.abc import Sequence
from typing import Any

from edgevlm_server.filled.tree import Unfillable

MOST_VALUES = 256
MOST_CHARACTERS = 256
"""Of one of them."""


def labels(values: Sequence[Any]) -> dict[str, Any]:
    """The values by their labels, in their order. Raises `Unfillable` if they cannot be told apart or asked about."""
    if len(values) > MOST_VALUES:
        raise Unfillable(f"more than {MOST_VALUES} values to choose from")
    found = {_label(value): value for value in values}
    if len(found) < len(values):
        raise Unfillable("values that look alike")
    return found


def _label(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unfillable("values that are neither texts nor numbers")
    text = value if isinstance(value, str) else json.dumps(value)
    if not text or text != text.strip() or not text.isprintable() or len(text) > MOST_CHARACTERS:
        raise Unfillable("a value that no answer looks like")
    return text
