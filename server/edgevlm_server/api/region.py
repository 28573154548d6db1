"""The part of a picture that is meant, as fields beside it, the same on every route. Knows no pictures."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.images.region import MAX_REGION_TEXT, Region, RegionError


def _checked(field: str) -> AfterValidator:
    """The value itself, if it is a region's."""

    def check(value: str | float) -> str | float:
        _parsed(lambda: Region.parse(**{field: value}))  # type: ignore[arg-type]
        return value

    return AfterValidator(check)


def _parsed(parse: Callable[[], Region | None]) -> Region | None:
    try:
        return parse()
    except RegionError as error:
        raise PydanticCustomError("region", str(error)) from None


RegionText = Annotated[str, StringConstraints(max_length=MAX_REGION_TEXT)]

Crop = Annotated[
    RegionText,
    _checked("crop"),
    Field(
        description="The part of the upright picture that is looked at: `x,y,width,height` in pixels, or in percent "
        "with `pct:` in front.",
        examples=["pct:25,10,50,30"],
    ),
]
Rotate = Annotated[
    Annotated[RegionText, Tag("~text")] | Annotated[float, Tag("~number")],
    Discriminator(lambda value: "~text" if isinstance(value, str) else "~number"),
    _checked("rotate"),
    Field(
        description="By how many degrees that part is then turned clockwise, -360 to 360.",
        examples=[90],
    ),
]
Deskew = Annotated[
    RegionText,
    _checked("deskew"),
    Field(
        description="In place of `crop`: four corners `x,y x,y x,y x,y` from the top left one clockwise, in pixels, "
        "or in percent with `pct:` in front. What lies between them becomes an upright rectangle.",
        examples=["pct:20,15 70,10 72,60 18,62"],
    ),
]


class RegionFields(BaseModel):
    """Empty texts count as absent, as forms send them."""

    crop: Crop | None = None
    rotate: Rotate | None = None
    deskew: Deskew | None = None

    @model_validator(mode="after")
    def _go_together(self) -> "RegionFields":
        _parsed(lambda: self.region)
        return self

    @property
    def own_region(self) -> Region | None:
        """The same where several places may say it: all of the picture is `Region()`, and `None` says nothing."""
        said = any(one not in (None, "") for one in (self.crop, self.rotate, self.deskew))
        return (self.region or Region()) if said else None

    @property
    def region(self) -> Region | None:
        """`None`: all of the picture, as it is."""
        return Region.parse(self.crop, self.rotate, self.deskew)
