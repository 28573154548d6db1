"""A model in this process, and pictures as it takes them: for one question after another. Knows no HTTP."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from edgevlm_server.images.decode.decoder import ImageWorkerError
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.intake import ImageIntake
from edgevlm_server.model import Model, load_model
from edgevlm_server.offline import TooLong, answer, encode

from edgevlm.cli import CommandError
from edgevlm.demo_bundle import demo_bundle
from edgevlm.first_start import Conversion, check_conversion, is_checkpoint, served_bundle
from edgevlm.hub.published import published
from edgevlm.plans import ensure_plans

if TYPE_CHECKING:
    import numpy as np
    from edgevlm_engines import Floats
    from edgevlm_server.runtime.sampling import SamplingParams
    from edgevlm_server.settings import Settings
    from edgevlm_server.text.prompt import Turn
    from numpy.typing import NDArray


class Saveable(Protocol):
    """What Pillow's pictures can do."""

    def save(self, fp: io.BytesIO, format: str) -> None: ...


Picture = str | os.PathLike[str] | bytes | Saveable
"""A file's path, its bytes, or a picture of Pillow."""


class LocalModel:
    """Loaded until it is closed."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._intake = ImageIntake(ImageLimits(), model.manifest.preprocessing, workers=1)

    @classmethod
    def load(cls, named: Path | None, settings: "Settings", conversion: Conversion | None = None) -> "LocalModel":
        """From a bundle, a checkpoint, a published model's name, or the demo model. Raises `EngineError`.

        Of a bundle, `conversion` says which precision it must have; raises `CommandError` if it has another.
        """
        conversion = conversion or Conversion()
        if named is None or is_checkpoint(named) or published(named):
            check_conversion(named, conversion)
        # the demo model is small: here it runs as its answers were measured
        bundle = demo_bundle() if named is None else served_bundle(named, settings, conversion)
        model = load_model(bundle, settings, prepare=ensure_plans)
        if conversion.precision not in (None, model.manifest.precision):
            model.engine.close()
            raise CommandError(
                f"{named} is a bundle in {model.manifest.precision}, not {conversion.precision}; export it again."
            )
        return cls(model)

    @property
    def name(self) -> str:
        return self._model.manifest.model

    def features(self, pictures: Sequence[Picture]) -> "Floats":
        """Of all pictures in order. Raises `CommandError`, naming the picture, for one that cannot be read."""
        return encode(self._model, [self._pixels(picture) for picture in pictures])

    def answer(
        self, turns: "Sequence[Turn]", features: "Floats", max_tokens: int, sampling: "SamplingParams | None" = None
    ) -> Iterator[str]:
        """Pieces of the answer's text. Raises `CommandError` if the conversation is too long."""
        try:
            yield from answer(self._model, turns, features, max_tokens=max_tokens, sampling=sampling)
        except TooLong as error:
            raise CommandError(str(error)) from None

    def close(self) -> None:
        self._intake.close()
        self._model.engine.close()

    def __enter__(self) -> "LocalModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pixels(self, picture: Picture) -> "NDArray[np.float32]":
        name = str(picture) if isinstance(picture, str | os.PathLike) else "The picture"
        try:
            if isinstance(picture, str | os.PathLike):
                return self._intake.pixels_of_file(Path(picture))
            return self._intake.pixels(picture if isinstance(picture, bytes) else _saved(picture))
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
        except (ImageError, ImageWorkerError) as error:
            raise CommandError(f"{name}: {error}") from None


def _saved(picture: Saveable) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
