"""A request of OpenAI's text completions, as far as this server acts on it. Knows fields and bounds, nothing else."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field

from edgevlm_server.api.fields import MAX_LOGPROBS, GenerationFields
from edgevlm_server.api.strict_model import MAX_TEXT, No, Text, tag


def _shape(value: Any) -> str:
    if isinstance(value, str):
        return "~text"
    return "~texts" if isinstance(value, list) and isinstance(next(iter(value), None), str) else "~ids"


class CompletionRequest(GenerationFields):
    """A prompt goes to the model as it is, behind the begin token: no template, no images.

    Token ids, as `/tokenize` gives them, go there without a begin token of the server's own.
    """

    prompt: Annotated[
        Annotated[Text, tag("text")]
        | Annotated[list[Text], tag("texts"), Field(min_length=1, max_length=1)]
        | Annotated[
            list[Annotated[int, Field(ge=0, lt=2**31)]], tag("ids"), Field(min_length=1, max_length=MAX_TEXT)
        ],
        Discriminator(_shape),
    ]
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None

    # what clients send when they want none of it
    echo: No | None = None
    suffix: Literal[""] | None = None
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None

    @property
    def wanted_logprobs(self) -> int | None:
        return self.logprobs

    @property
    def ids(self) -> list[int] | None:
        """The prompt, if it was given as token ids."""
        return [one for one in self.prompt if isinstance(one, int)] if _shape(self.prompt) == "~ids" else None

    @property
    def text(self) -> str:
        """The prompt, if it was given as a text."""
        return self.prompt if isinstance(self.prompt, str) else "".join(map(str, self.prompt))
