"""Values of options as people write them: numbers, sizes, times, hosts. Knows no option.

Every function raises `argparse.ArgumentTypeError` with what is needed instead.
"""

import argparse
import ipaddress
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


def probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("a number from 0 to 1 is needed")
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


def address(text: str) -> str:
    """An address or a name; one of IPv6 may have its brackets, as in a URL."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def addresses(text: str) -> tuple[str, ...]:
    """Addresses and networks, separated by commas."""
    return tuple(_network(one) for one in _list(text))


def host_names(text: str) -> tuple[str, ...]:
    """Names without a port, in small letters, or `*`."""
    names = tuple(address(one).lower().rstrip(".") for one in _list(text))
    if not all(name == "*" or re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", name) for name in names):
        raise argparse.ArgumentTypeError("names such as vision.example.com are needed, without a port, or *")
    return names


def origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them, or `*`."""
    return tuple(one if one == "*" else _origin(one) for one in _list(text))


def path_prefix(text: str) -> str:
    """A path without its last slash; `/` alone is none."""
    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise argparse.ArgumentTypeError("a path such as /edgevlm is needed")
    return path


def http_address(text: str) -> str:
    """A URL of HTTP or HTTPS, without a user."""
    if not re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[^\s?#]*)?", text):
        raise argparse.ArgumentTypeError("an address such as http://collector:4318/v1/traces is needed")
    return text


def _list(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            "addresses such as 10.0.0.2 or networks such as 10.0.0.0/24 are needed"
        ) from None


def _origin(text: str) -> str:
    origin = text.lower()
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", origin):
        raise argparse.ArgumentTypeError("origins such as https://mes.example or http://localhost:3000 are needed")
    return origin


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"a whole number of at least {least} is needed")
    return value
