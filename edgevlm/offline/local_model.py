"""A model in this process, and pictures as it takes them: for one question after another. Knows no HTTP."""

from collections import abc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from edgevlm_engines import read_manifest
from edgevlm_server.images.formats.limits import ImageLimits
from edgevlm_server.images.intake import ImageIntake
from edgevlm_server.model import Model, load_model
from edgevlm_server.offline import TooLong, begun, encode, said
from edgevlm_server.runtime.sampling import NotFinite

from edgevlm.conversion import Conversion
from edgevlm.demo_bundle import demo_bundle
from edgevlm.errors import CommandError
from edgevlm.first_start import check_conversion, loaded, served_bundle
from edgevlm.pictures import Picture, picture_pixels
from edgevlm.plans import ensure_plans

if TYPE_CHECKING:
    from edgevlm_engines import Floats
    from edgevlm_engines.names import Precision
    from edgevlm_server.images.region import Region
    from edgevlm_server.runtime.sampling import SamplingParams
    from edgevlm_server.runtime.sequence import Sequence
    from edgevlm_server.settings import Settings
    from edgevlm_server.text.prompt import Turn


class Answer:
    """Pieces of its text, once, as they are made; and how sure the model is of what it has said so far.

    Raises `CommandError` where the model computes what is no number.
    """

    def __init__(self, model: Model, sequence: "Sequence") -> None:
        self._model = model
        self._sequence = sequence

    def __iter__(self) -> Iterator[str]:
        try:
            yield from said(self._model, self._sequence)
        except NotFinite:
            raise CommandError(
                "The model computed values that are not finite; export it in another precision."
            ) from None

    @property
    def confidence(self) -> float:
        """0 to 1."""
        return self._sequence.confidence


class LocalModel:
    """Loaded until it is closed."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._intake = ImageIntake(ImageLimits(), model.manifest.preprocessing, workers=1)

    @classmethod
    def load(cls, named: Path | None, settings: "Settings", precision: "Precision | None" = None) -> "LocalModel":
        """From a bundle, a checkpoint, a published model's name, or the demo model. Raises `EngineError`.

        A checkpoint is converted to `precision`, a bundle must have it; raises `CommandError` if it has another.
        """
        conversion = Conversion(precision=precision)
        if named is None:
            check_conversion(named, conversion)
        # the demo model is small: here it runs as its answers were measured
        find = demo_bundle if named is None else partial(served_bundle, named, settings, conversion)

        def load(bundle: Path) -> Model:
            if precision not in (None, found := read_manifest(bundle).precision):
                raise CommandError(f"{named} is a bundle in {found}, not {precision}; export it again.")
            return load_model(bundle, settings, prepare=partial(ensure_plans, plans=settings.plans))

        return cls(loaded(find, named, load))

    @property
    def name(self) -> str:
        return self._model.manifest.model

    def features(self, pictures: abc.Sequence[Picture], region: "Region | None" = None) -> "Floats":
        """Of all pictures in order, or of the same part of each.

        Raises `CommandError`, naming the picture, for one that cannot be read.
        """
        return encode(self._model, [picture_pixels(self._intake, picture, region) for picture in pictures])

    def answer(
        self,
        turns: "abc.Sequence[Turn]",
        features: "Floats",
        max_tokens: int,
        sampling: "SamplingParams | None" = None,
    ) -> Answer:
        """Raises `CommandError` if the conversation is too long."""
        try:
            sequence = begun(self._model, turns, features, max_tokens=max_tokens, sampling=sampling)
        except TooLong as error:
            raise CommandError(str(error)) from None
        return Answer(self._model, sequence)

    def close(self) -> None:
        self._intake.close()
        self._model.engine.close()

    def __enter__(self) -> "LocalModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
