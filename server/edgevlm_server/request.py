"""One request, whichever route it came by. Plain values: no wire names, no HTTP, no model.

Every route parses its wire shape into a `Request`; `place` says where something stands in that shape, for errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from edgevlm_engines import Floats

from edgevlm_server.filled.tree import Branch
from edgevlm_server.images.region import Region
from edgevlm_server.runtime.sampling import SamplingParams

MAX_TEXT = 32_768
"""Characters of one text, and of all texts of a request together. More cannot fit into the longest context of any
MobileVLM, 4096 tokens."""

Role = Literal["system", "user", "assistant"]

ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""By the names that clients use: newer ones call the system the developer."""


class Client(NamedTuple):
    """Who asks. `name` is the one that belongs to the key, `None` on a server without keys, where all are one client.

    Limits and turns go by `share`: the name, else the address.
    """

    name: str | None
    share: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: a file's bytes, or the text of an `image_url`, and the client's name for it; at least one of them.

    A text is a data URL, base64 alone or an address. With a name alone, the picture is one that was sent before.
    """

    source: bytes | str | None
    name: str | None = None
    place: str = ""
    region: Region | None = None
    """The part of it that is meant; `None`: all of it."""
    region_place: str = ""
    """Where the part is said, if that is elsewhere."""
    by_site: bool = False
    """The site says where it is: that there is none, or no picture, is no mistake of the client."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: its texts and pictures in the client's order."""

    role: Role
    parts: tuple[str | Picture, ...]
    place: str = ""


class EncodedImages(NamedTuple):
    """What a request's images became: `features` `[n * image_tokens, hidden_size]`, and what each shows.

    That is the SHA-256 of its file, or that of the file's and the region's.
    """

    features: Floats
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """The form that an answer must have: a grammar as llguidance reads it, and the field that asked for it."""

    grammar: str
    place: str
    risky: bool
    """Compiling it may take longer than its size tells."""


@dataclass(frozen=True, slots=True)
class Fill:
    """JSON that the server writes and the model fills, and the field that asked for it."""

    root: Branch
    place: str
    always: bool
    """Else only for a model that writes no JSON by itself."""
    demanded: str | None = None
    """The field that allows no answer in one piece, if there is one."""


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
    keep_space: bool = False
    """White space at an answer's beginning belongs to it, if it has no form: no template ends in front of it."""
    choices: int = 1
    """Answers to the same prompt, each drawn on its own."""
    logprobs: int | None = None
    """Report each token's probability, with so many of the likeliest tokens beside it; `None`: do not."""
    structure: Structure | None = None
    fill: Fill | None = None
    """The same form, filled field by field where that can be done."""
    min_confidence: float | None = None
    """How sure an answer must be, or there is none; `None`: as sure as the server's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A conversation, or a `prompt` that no template is put around: a text, or the ids of its tokens.

    `model` is the name that the client asked for, if any.
    """

    place: str
    model: str | None = None
    turns: tuple[Turn, ...] = ()
    prompt: str | tuple[int, ...] | None = None
    generation: Generation = field(default_factory=Generation)
    stream: bool = False

    def texts_of(self, role: Role) -> str:
        """All that one role says, one text under the other."""
        return "\n".join(
            part for turn in self.turns if turn.role == role for part in turn.parts if isinstance(part, str)
        )
