"""Which part of which picture each field is about: the nearest to it that was said. Plain values; knows no pixels.

Until the last, all of a picture is `Region()`, and `None` is that nothing was said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgevlm_server.images.region import Region
from edgevlm_server.readings.field import Field
from edgevlm_server.request import Picture

Pictures = tuple[Picture, ...]


def in_part(pictures: Pictures, *regions: Region | None) -> Pictures:
    """The pictures, of those without a part of their own the first part that was said."""
    region = next((one for one in regions if one is not None), None)
    return tuple(replace(one, region=region) if one.region is None else one for one in pictures)


def views(pictures: Pictures, fields: Sequence[Field], place: str) -> Iterator[Pictures]:
    """What each field is shown; those that are shown the same parts get the same objects.

    `place` is where the fields stand in the request.
    """
    shown: dict[Region | None, Pictures] = {None: tuple(map(_at_last, pictures))}
    for index, field in enumerate(fields):
        if field.region not in shown:
            own = (replace(one, region=field.region, region_place=f"{place}.{index}") for one in pictures)
            shown[field.region] = tuple(map(_at_last, own))
        yield shown[field.region]


def _at_last(picture: Picture) -> Picture:
    return replace(picture, region=None) if picture.region == Region() else picture
