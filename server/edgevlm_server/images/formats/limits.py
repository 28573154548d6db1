"""What a picture may be, and what a client is told when it is not. No text here holds client input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal, get_args

from PIL import features

ImageFormat = Literal["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF"]  # as Pillow spells them
ImageErrorCode = Literal[
    "image_unsupported",
    "image_too_large",
    "image_invalid",
    "image_region_outside",
    "remote_images_disabled",
    "image_host_not_allowed",
    "image_fetch_failed",
    "image_fetch_timeout",
]
FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)
HEIC_READER = "pillow_heif"

WORKER_BYTES = 200 * 2**20
"""Address space of a decode worker before it has a picture."""
BYTES_A_PIXEL: Mapping[ImageFormat, int] = {
    "JPEG": 14,
    "PNG": 22,
    "WEBP": 32,
    "BMP": 22,
    "GIF": 18,
    "TIFF": 22,
    "AVIF": 26,
    "HEIF": 34,
}
"""What decoding takes of it at most: with transparency, or for a JPEG whose coefficients are all needed at once."""


def installed_formats() -> tuple[ImageFormat, ...]:
    """Those that can be decoded here: AVIF if Pillow was built with it, HEIC with the package that the extra adds."""
    missing = set()
    if not features.check("avif"):
        missing.add("AVIF")
    if find_spec(HEIC_READER) is None:
        missing.add("HEIF")
    return tuple(known for known in FORMATS if known not in missing)


class ImageError(Exception):
    """A picture is refused, through the client's doing. `code` is for programs, `str(error)` for people."""

    def __init__(self, code: ImageErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ImageErrorCode = code

    def again(self) -> "ImageError":
        """The same for another one who waits."""
        return ImageError(self.code, str(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Limits for one picture; its size, pixels and scans are checked before any of it is decoded."""

    formats: tuple[ImageFormat, ...] = field(default_factory=installed_formats)
    max_bytes: int = 7 * 1024 * 1024  # as a file, after base64
    max_side: int = 16_384
    max_pixels: int = 40_000_000  # or fewer, as far as `memory_bytes` go
    whole_pixels: int = 4096 * 4096  # a JPEG with more is decoded at 1/2, 1/4 or 1/8
    max_scans: int = 64  # of a progressive JPEG: each costs time whatever its size; usual files have 10
    decode_seconds: float = 5.0  # of processor time
    memory_bytes: int = 1 << 30  # address space of a decode worker (Linux)
    fetch_seconds: float = 10.0  # for a picture that is fetched: name, connection and all of its bytes together

    def unsupported(self) -> ImageError:
        return ImageError(
            "image_unsupported",
            f"The picture's format, or this variant of it, is not supported. Supported formats: {self._names}.",
        )

    def without_heic(self) -> ImageError:
        return ImageError(
            "image_unsupported",
            "The picture is HEIC, and this server was installed without support for it (the extra 'heic'). "
            f"Supported formats: {self._names}.",
        )

    @property
    def _names(self) -> str:
        return ", ".join(map(_spelled, self.formats))

    def too_many_bytes(self) -> ImageError:
        size = f"{self.max_bytes / 2**20:.3g} MiB"
        return ImageError("image_too_large", f"The picture's file is larger than the limit of {size}.")

    def most_pixels(self, image_format: ImageFormat) -> int:
        """What fits in the memory of a worker, whatever the picture's mode."""
        return min(self.max_pixels, (self.memory_bytes - WORKER_BYTES) // BYTES_A_PIXEL[image_format])

    def too_many_pixels(self, image_format: ImageFormat) -> ImageError:
        most = self.most_pixels(image_format)
        text = f"A {_spelled(image_format)} may have {self.max_side} per side and {most / 1e6:.1f} megapixels"
        if most < self.max_pixels:
            text += f", as many as are decoded in {self.memory_bytes >> 20} MiB of memory"
        return ImageError("image_too_large", f"The picture has too many pixels. {text}.")

    def too_many_scans(self) -> ImageError:
        return ImageError("image_too_large", f"The JPEG has more scans than the limit of {self.max_scans}.")

    def too_slow(self) -> ImageError:
        return ImageError(
            "image_too_large",
            f"The picture took more than {self.decode_seconds:g} s of processor time to decode. Send a smaller one.",
        )

    def fetch_too_slow(self) -> ImageError:
        return ImageError(
            "image_fetch_timeout",
            f"The picture could not be fetched within {self.fetch_seconds:g} s.",
        )

    def too_much_memory(self) -> ImageError:
        return ImageError("image_too_large", "Decoding the picture needs more memory than one picture may use.")


def _spelled(image_format: ImageFormat) -> str:
    return {"WEBP": "WebP", "HEIF": "HEIC"}.get(image_format, image_format)


def invalid() -> ImageError:
    return ImageError("image_invalid", "The picture is damaged or incomplete and cannot be decoded.")


def region_outside(width: int, height: int) -> ImageError:
    return ImageError(
        "image_region_outside",
        f"The part to be cut out reaches beyond the picture, which has {width} x {height} pixels when it is upright.",
    )


def not_a_data_url() -> ImageError:
    return ImageError(
        "image_invalid",
        "image_url must be a base64 data URL (data:image/jpeg;base64,...) or plain base64.",
    )


def remote_disabled() -> ImageError:
    return ImageError(
        "remote_images_disabled",
        "This server does not fetch pictures. Send the picture as a data URL: data:image/jpeg;base64,...",
    )


USABLE = "it must be http or https, at most 2048 plain characters, without a user name, a space or '#'"


def host_not_allowed() -> ImageError:
    return ImageError(
        "image_host_not_allowed",
        "This server may not fetch pictures from this address: its host and port are not on the operator's list. "
        "Send the picture as a data URL: data:image/jpeg;base64,...",
    )


def unusable_address() -> ImageError:
    return ImageError(
        "image_host_not_allowed",
        f"The picture's address cannot be used: {USABLE}. Send the picture as a data URL: data:image/jpeg;base64,...",
    )


def fetch_failed() -> ImageError:
    return ImageError(
        "image_fetch_failed",
        "The picture could not be fetched: its address must answer with status 200 and the picture itself, not with "
        "a redirect.",
    )
