"""A request becomes sequences: conversations to token ids, wishes to limits. Knows no wire shape, state or thread."""

from collections import abc
from typing import Literal, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens

from edgevlm_server.errors import InvalidRequest, NotFound
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.model import Model
from edgevlm_server.request import MAX_TEXT, EncodedImages, Generation, Picture, Request, Turn
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.text import prompt


class Prompt(NamedTuple):
    """A whole prompt as token ids and `IMAGE_TOKEN`, and its pictures in the same order."""

    ids: list[int]
    pictures: list[Picture]


class Prepared(NamedTuple):
    """All that a request's sequences need but the pictures' features and the grammar."""

    prompt: Tokens
    pictures: list[Picture]
    max_tokens: int
    stop_ids: frozenset[int]
    generation: Generation

    def sequences(self, images: EncodedImages, constraint: Constraint | None) -> list[Sequence]:
        """One for each answer, once the images are encoded."""
        assert len(images.features) == np.count_nonzero(self.prompt == IMAGE_TOKEN)
        return [
            Sequence(
                self.prompt,
                images.features,
                self.max_tokens,
                self.stop_ids,
                self.generation.sampling,
                images.files,
                min_tokens=self.generation.min_tokens,
                constraint=constraint and constraint.fresh(),
                logprobs=self.generation.logprobs,
                number=number,
            )
            for number in range(self.generation.choices)
        ]


def prepare(request: Request, model: Model, max_images: int) -> Prepared:
    """Raises `ApiError` for what cannot be served; short enough for the event loop, since texts are bounded."""
    ids, pictures = read_prompt(request, model, max_images)
    generation, vocab_size = request.generation, model.tokenizer.vocab_size
    if any(token >= vocab_size for token, _ in generation.sampling.logit_bias):
        raise _invalid(f"The model has the tokens 0 to {vocab_size - 1}.", "logit_bias")
    if generation.ignore_eos and generation.structure is not None:
        raise _invalid(
            "A structured answer ends where its structure ends, so it cannot ignore the end token.", "ignore_eos"
        )
    longest = model.engine.info.max_length
    max_tokens = token_limit(generation.max_tokens, len(ids), longest, request.place)
    if generation.min_tokens > max_tokens:
        raise _invalid(f"At most {max_tokens} tokens are allowed here.", "min_tokens")
    return Prepared(
        prompt=np.array(ids, np.int64),
        pictures=pictures,
        max_tokens=max_tokens,
        stop_ids=frozenset() if generation.ignore_eos else frozenset(model.manifest.prompt.stop_ids),
        generation=generation,
    )


def read_prompt(request: Request, model: Model, max_images: int) -> Prompt:
    """Raises `ApiError` for another model's name, for what no template can hold, and for too much of it."""
    check_model(request.model, model)
    if request.prompt is None:
        return _conversation(request, model, max_images)
    if isinstance(request.prompt, str):
        text = model.tokenizer.encode(request.prompt, space_prefix=True)
        return Prompt([model.manifest.prompt.bos_id, *text], [])
    check_ids(request.prompt, model, request.place)
    return Prompt(list(request.prompt), [])


def check_model(name: str | None, model: Model) -> None:
    """Raises `NotFound` for the name of another model."""
    if name not in (None, model.manifest.model):
        raise NotFound(f"This server has one model, '{model.manifest.model}'.", code="model_not_found", param="model")


def check_ids(ids: abc.Sequence[int], model: Model, place: str) -> None:
    """Raises `InvalidRequest` for the first id outside the vocabulary."""
    size = model.tokenizer.vocab_size
    for index, token in enumerate(ids):
        if token >= size:
            raise _invalid(f"The model has the tokens 0 to {size - 1}.", f"{place}.{index}")


def token_limit(wanted: int | None, prompt_length: int, longest: int, place: str) -> int:
    """How many tokens may be generated. Raises `InvalidRequest` if prompt and answer do not fit into one slot."""
    if prompt_length + (wanted or 1) > longest:
        raise _too_long(
            f"The context has {longest} positions; this prompt takes {prompt_length} "
            f"(images included) and asks for {wanted or 1} more.",
            place,
        )
    return longest - prompt_length if wanted is None else wanted


def _conversation(request: Request, model: Model, max_images: int) -> Prompt:
    system, turns = _split(request.turns)
    if not turns or turns[-1].role != "user":
        raise _invalid("The last message must be the user's.", request.place)
    pictures = [picture for turn in turns for picture in turn.pictures]
    _check_size(request, len(pictures), max_images)
    ids = prompt.encode_conversation(
        model.tokenizer,
        model.manifest.prompt,
        model.manifest.vision.image_tokens,
        [_spoken(turn) for turn in turns],
        system,
    )
    return Prompt(ids, pictures)


def _split(turns: abc.Sequence[Turn]) -> tuple[str | None, abc.Sequence[Turn]]:
    """The system's text and the turns behind it."""
    for index, turn in enumerate(turns):
        if turn.pictures and turn.role != "user":
            raise _invalid("Only a user message can hold images.", turn.place)
        if turn.role == "system" and index:
            raise _invalid("A system message must be the first one.", f"{turn.place.removesuffix('.content')}.role")
    if turns and turns[0].role == "system":
        return turns[0].text, turns[1:]
    return None, turns


def _spoken(turn: Turn) -> prompt.Turn:
    role: Literal["user", "assistant"] = "assistant" if turn.role == "assistant" else "user"
    return prompt.Turn(role, turn.text, len(turn.pictures))


def _check_size(request: Request, pictures: int, max_images: int) -> None:
    if sum(len(turn.text) for turn in request.turns) > MAX_TEXT:
        # told before it is tokenised, which takes time in proportion
        raise _too_long(f"All texts together are longer than {MAX_TEXT} characters.", request.place)
    if pictures > max_images:
        raise InvalidRequest(
            f"A request can hold at most {max_images} images.", code="too_many_images", param=request.place
        )


def _invalid(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)


def _too_long(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="context_length_exceeded", param=param)
