"""A conversation becomes token ids: upstream's template `v1`, exactly. Knows no HTTP and no pixels.

The wording and the cutting follow MobileVLM's `conversation.py` and `tokenizer_image_token` at commit 688fdec:
text is tokenised piece by piece, each piece alone, and the pieces are joined by image marks or end tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from edgevlm_engines import IMAGE_TOKEN, Prompt

from edgevlm_server.text.tokenizer import Tokenizer


class Mark(Enum):
    """What stands between two pieces of text."""

    IMAGE = "<image>"
    END = "</s>"


Part = str | Mark


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its texts, and in a user's message its images among them."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


def encode_conversation(
    tokenizer: Tokenizer, prompt: Prompt, image_tokens: int, turns: Sequence[Turn], system: str | None = None
) -> list[int]:
    """Token ids of the whole prompt up to and including `ASSISTANT:`; an image is `image_tokens` x `IMAGE_TOKEN`."""
    ids = [prompt.bos_id]
    space_prefix = True
    for piece in render(turns, prompt.system if system is None else system):
        if isinstance(piece, str):
            ids += tokenizer.encode(piece, space_prefix=space_prefix)
        elif piece is Mark.IMAGE:
            ids += [IMAGE_TOKEN] * image_tokens
            space_prefix = True
        else:
            ids.append(prompt.eos_id)
            # transformers' `legacy` flag: whether the text right after </s> gets the dummy space
            space_prefix = prompt.legacy
    return ids


def render(turns: Sequence[Turn], system: str) -> list[str | Mark]:
    """The template: pieces of text with marks between them, ending in the open turn `ASSISTANT:`."""
    pieces: list[str | Mark] = []
    text = f"{system} "
    for turn in turns:
        if turn.role == "assistant":
            pieces += [f"{text}ASSISTANT: {_joined(turn.parts)}", Mark.END]
            text = ""
            continue
        text += "USER: "
        for piece in _lines(_as_trained(turn.parts)):
            if isinstance(piece, str):
                text += piece
            else:
                pieces += [text, piece]
                text = ""
        text += " "
    return [*pieces, f"{text}ASSISTANT:"]


def _joined(parts: Sequence[Part]) -> str:
    return "\n".join(part for part in parts if isinstance(part, str))


def _as_trained(parts: Sequence[Part]) -> Sequence[Part]:
    """Images in front of the text, as in all training data, unless one stands between texts and may belong there."""
    texts = [index for index, part in enumerate(parts) if isinstance(part, str)]
    if texts and texts[-1] - texts[0] >= len(texts):
        return parts
    return sorted(parts, key=lambda part: isinstance(part, str))


def _lines(parts: Sequence[Part]) -> Iterator[Part]:
    """Each part on a line of its own; a line break follows an image in any case, as in `<image>\\n`."""
    for index, part in enumerate(parts, 1):
        yield part
        if index < len(parts) or part is Mark.IMAGE:
            yield "\n"
