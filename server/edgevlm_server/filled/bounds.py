"""Whether a value keeps a schema's bounds: what was read may not. Knows plain schemas, no patterns."""

import math
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any


def holds(schema: Mapping[str, Any], value: Any) -> bool:
    """Bounds of numbers, lengths and counts, and dates that there are; those of other types say nothing of it."""
    if isinstance(value, str):
        return _between(len(value), schema, "minLength", "maxLength") and _is_dated(schema, value)
    if isinstance(value, list):
        return _between(len(value), schema, "minItems", "maxItems")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(schema, value)
    return True


def _between(count: int, schema: Mapping[str, Any], least: str, most: str) -> bool:
    return bool(schema.get(least, 0) <= count <= schema.get(most, count))


def _is_dated(schema: Mapping[str, Any], text: str) -> bool:
    if schema.get("format") not in ("date", "date-time"):
        return True
    try:
        return bool(date.fromisoformat(text[:10]))
    except ValueError:
        return False


def _number(schema: Mapping[str, Any], value: float) -> bool:
    if not math.isfinite(value):
        return False
    above = value >= schema.get("minimum", value) and value > schema.get("exclusiveMinimum", -math.inf)
    below = value <= schema.get("maximum", value) and value < schema.get("exclusiveMaximum", math.inf)
    step = schema.get("multipleOf")
    return above and below and (step is None or _is_multiple(value, step))


def _is_multiple(value: float, step: float) -> bool:
    # as they are written: 0.3 is three times 0.1
    return step > 0 and Fraction(str(value)) % Fraction(str(step)) == 0
