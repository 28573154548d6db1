"""Patterns that common generators write and no grammar can follow, since they look ahead, and equal ones. Pure text.

Zod writes them for e-mail addresses and durations, pydantic for decimal numbers. All others with a lookahead are
refused by name.
"""

import re

MAX_DIGITS = 64

_SIGN = r"^(?!^[-+.]*$)[+-]?0*"
_SECONDS = r"(?:\d+(?:[.,]\d+)?S)"
_DAYS = r"(?:\d+Y(?:\d+M)?(?:\d+D)?|\d+M(?:\d+D)?|\d+D)"
_HOURS = rf"T(?:\d+H(?:\d+M)?{_SECONDS}?|\d+M{_SECONDS}?|{_SECONDS})"

_EQUAL = {
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$": (
        r"^(?:[A-Za-z0-9_'+-]+\.)*[A-Za-z0-9_'+-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}$"
    ),
    r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$": (
        rf"^P(?:\d+W|{_DAYS}(?:{_HOURS})?|{_HOURS})$"
    ),
    _SIGN + r"\d*\.?\d*$": r"^[+-]?(?:\d+\.?\d*|\.\d+)$",
}


def _template(text: str) -> re.Pattern[str]:
    """A pattern with numbers where the text has N."""
    return re.compile(re.escape(text).replace("N", r"(\d{1,3})"))


_PLACES = _template(_SIGN + r"\d*\.?\d{0,N}0*$")
_DIGITS = _template(_SIGN + r"(?:\d{0,N}|(?=[\d.]{1,N}0*$)\d*\.\d*0*$)")
_BOTH = _template(_SIGN + r"(?:\d{0,N}|(?=[\d.]{1,N}0*$)\d{0,N}\.\d{0,N}0*$)")


def without_lookahead(pattern: str) -> str | None:
    """An equal pattern for one that is known, `None` for all others."""
    if equal := _EQUAL.get(pattern):
        return equal
    for template, numbers in ((_PLACES, _places), (_DIGITS, _digits), (_BOTH, _both)):
        found = template.fullmatch(pattern)
        if found and max(counts := [int(count) for count in found.groups()]) <= MAX_DIGITS:
            return rf"^[+-]?(?:{numbers(*counts)})$"
    return None


def _places(most: int) -> str:
    return _decimal(r"\d+", most)


def _digits(most: int, _: int) -> str:
    """Each way to divide the digits between the two sides of the point."""
    return "|".join(_decimal(_whole(before), most - before) for before in range(most + 1))


def _both(before: int, most: int, _: int, places: int) -> str:
    # the lookahead counts the point as well
    return _decimal(_whole(before), min(places, most - 1))


def _decimal(whole: str, places: int) -> str:
    """A whole part, a fraction or both; zeros at either end do not count."""
    fraction = rf"\d{{1,{places}}}0*|0+" if places else "0+"
    return rf"{whole}(?:\.\d{{0,{places}}}0*)?|\.(?:{fraction})"


def _whole(digits: int) -> str:
    return rf"(?:0+\d{{0,{digits}}}|\d{{1,{digits}}})" if digits else "0+"
