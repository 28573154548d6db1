"""Which pictures of one request are of one file: that is read, fetched and decoded once. Knows no bytes beyond equal.

A name alone, of a picture that the request holds further in front, stands for that one's file.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from edgevlm_server.request import Picture


class Part(NamedTuple):
    """A picture, its source filled in where the request has it; `first` and `last` of its file, by their numbers."""

    picture: Picture
    first: int
    last: int


def parts_of(pictures: Sequence[Picture]) -> list[Part]:
    """One for each picture, in their order. A name whose picture was sent earlier is a file of its own here."""
    filled = _filled(pictures)
    firsts: list[int] = []
    for number, picture in enumerate(filled):
        # texts that differ do so within their first bytes, so that only equal ones are read to their end
        same = (first for first in firsts if picture.source is not None and filled[first].source == picture.source)
        firsts.append(next(same, number))
    lasts = {first: number for number, first in enumerate(firsts)}
    return [Part(picture, first, lasts[first]) for picture, first in zip(filled, firsts, strict=True)]


def _filled(pictures: Sequence[Picture]) -> list[Picture]:
    named: dict[str, bytes | str] = {}
    filled = []
    for picture in pictures:
        if picture.source is None and picture.name is not None:
            picture = replace(picture, source=named.get(picture.name))
        elif picture.source is not None and picture.name is not None:
            named[picture.name] = picture.source
        filled.append(picture)
    return filled
