"""Values of options as people write them: numbers, sizes, times, hosts. Knows no option.

Every function raises `argparse.ArgumentTypeError` with what is needed instead.
"""

import argparse
import math
import re
from fractions import Fraction

from edgevlm_server.images.hosts import ImageHosts


def at_least_one(text: str) -> int:
    return _at_least(1, text)


def not_negative(text: str) -> int:
    return _at_least(0, text)


def port_number(text: str) -> int:
    value = not_negative(text)
    if value > 65535:
        raise argparse.ArgumentTypeError("a port is at most 65535")
    return value


def size(text: str) -> int:
    """Bytes. Units are powers of 1024, however they are spelled."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?(?:([kmg])i?)?b?", text.strip(), re.ASCII | re.IGNORECASE)
    if found is None or (found[2] is None and "." in found[1]):
        raise argparse.ArgumentTypeError("a size is needed: bytes, or a number with K, M or G, such as 512M")
    return int(Fraction(found[1]) * 1024 ** " kmg".index((found[2] or " ").lower()))


def positive_size(text: str) -> int:
    """Bytes, at least one."""
    value = size(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a size of at least 1 byte is needed")
    return value


def seconds(text: str) -> float:
    """Up to a day."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 86_400:
        raise argparse.ArgumentTypeError("a number of seconds from 0 to 86400 is needed")
    return value


def some_seconds(text: str) -> float:
    """At least one, up to a day."""
    value = seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1 second is needed")
    return value


def above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("a number above 0 is needed")
    return value


def yes_or_no(text: str) -> bool:
    if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
        raise argparse.ArgumentTypeError("yes or no is needed")
    return text.lower() in ("1", "true", "yes")


def image_hosts(text: str) -> ImageHosts:
    """A list separated by commas."""
    try:
        return ImageHosts.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"a whole number of at least {least} is needed")
    return value
