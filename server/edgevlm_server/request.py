"""One request, whichever route it came by. Plain values: no wire names, no HTTP, no model."""

from dataclasses import dataclass, field
from typing import NamedTuple

from edgevlm_engines import Floats

from edgevlm_server.runtime.sampling import SamplingParams


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: a file's bytes, or the text of an `image_url`, and the client's name for it; at least one of them.

    A text is a data URL, base64 alone or an address. With a name alone, the picture is one that was sent before.
    `place` says where it stands in the request, for errors.
    """

    source: bytes | str | None
    name: str | None = None
    place: str = ""


class EncodedImages(NamedTuple):
    """What a request's images became: `features` `[n * image_tokens, hidden_size]`, and each file's SHA-256."""

    features: Floats
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """The form that an answer must have: a grammar as llguidance reads it, and the field that asked for it."""

    grammar: str
    place: str
    risky: bool
    """Compiling it may take longer than its size tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """`max_tokens` `None`: as many as fit into the slot. `stop`: texts that end an answer, not part of it."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int | None = None
    min_tokens: int = 0
    """So many tokens come before an end token or a stop text can end the answer."""
    ignore_eos: bool = False
    """End tokens do not end the answer."""
    stop: tuple[str, ...] = ()
    choices: int = 1
    """Answers to the same prompt, each drawn on its own."""
    logprobs: int | None = None
    """Report each token's probability, with so many of the likeliest tokens beside it; `None`: do not."""
    structure: Structure | None = None
