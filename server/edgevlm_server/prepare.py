"""A request becomes sequences: conversations to token ids, wishes to limits. Knows no wire shape, state or thread."""

from collections import abc
from typing import Literal, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens

from edgevlm_server.errors import InvalidRequest, NotFound
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.model import Model
from edgevlm_server.request import MAX_TEXT, EncodedImages, Generation, Picture, Request, Turn
from edgevlm_server.runtime.sampling import SamplingParams
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.text import prompt
from edgevlm_server.text.prompt import Mark


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
    generation = request.generation
    check_biases(generation.sampling, model)
    if generation.ignore_eos and generation.structure is not None:
        raise _invalid(
            "A structured answer ends where its structure ends, so it cannot ignore the end token.", "ignore_eos"
        )
    room = room_left(1, len(ids), model, request.place)
    # clients send limits far above what fits: the answer then ends where the room does
    max_tokens = room if generation.max_tokens is None else min(generation.max_tokens, room)
    if generation.min_tokens > max_tokens:
        raise _invalid(f"At most {max_tokens} tokens are allowed here.", "min_tokens")
    return Prepared(
        prompt=np.array(ids, np.int64),
        pictures=pictures,
        max_tokens=max_tokens,
        stop_ids=frozenset() if generation.ignore_eos else frozenset(model.manifest.prompt.stop_ids),
        generation=generation,
    )


def check_biases(sampling: SamplingParams, model: Model) -> None:
    """Raises `InvalidRequest` for the bias of a token outside the vocabulary."""
    size = model.tokenizer.vocab_size
    if any(token >= size for token, _ in sampling.logit_bias):
        raise _invalid(f"The model has the tokens 0 to {size - 1}.", "logit_bias")


def read_prompt(request: Request, model: Model, max_images: int) -> Prompt:
    """Raises `ApiError` for another model's name, for what no template can hold, and for too much of it."""
    check_model(request.model, model)
    _check_size(request, model, max_images)
    if request.prompt is None:
        return _conversation(request, model)
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


def room_left(needed: int, prompt_length: int, model: Model, place: str) -> int:
    """How many tokens may follow a prompt. Raises `InvalidRequest` if fewer than are needed fit into one slot."""
    room = model.engine.info.max_length - prompt_length
    if room < needed:
        why = f"it takes {prompt_length}, images included, and its answer {needed} more"
        raise _too_long(why, model, place)
    return room


def _conversation(request: Request, model: Model) -> Prompt:
    system, turns = _split(request.turns)
    if not turns or turns[-1].role != "user":
        raise _invalid("The last message must be the user's.", request.place)
    ids = prompt.encode_conversation(
        model.tokenizer,
        model.manifest.prompt,
        model.manifest.vision.image_tokens,
        [_spoken(turn) for turn in turns],
        system,
    )
    return Prompt(ids, _pictures(turns))


def _split(turns: abc.Sequence[Turn]) -> tuple[str | None, abc.Sequence[Turn]]:
    """The system's text, joined if it comes as several messages, and the turns behind it."""
    begin = next((index for index, turn in enumerate(turns) if turn.role != "system"), len(turns))
    for index, turn in enumerate(turns):
        if turn.role != "user" and _pictures([turn]):
            raise _invalid("Only a user message can hold images.", turn.place)
        if turn.role == "system" and index > begin:
            raise _invalid("System messages must come first.", f"{turn.place.removesuffix('.content')}.role")
    system = ["\n".join(_texts([turn])) for turn in turns[:begin]]
    return "\n\n".join(filter(None, system)) if system else None, turns[begin:]


def _texts(turns: abc.Iterable[Turn]) -> list[str]:
    return [part for turn in turns for part in turn.parts if isinstance(part, str)]


def _pictures(turns: abc.Iterable[Turn]) -> list[Picture]:
    return [part for turn in turns for part in turn.parts if isinstance(part, Picture)]


def _spoken(turn: Turn) -> prompt.Turn:
    role: Literal["user", "assistant"] = "assistant" if turn.role == "assistant" else "user"
    return prompt.Turn(role, tuple(Mark.IMAGE if isinstance(part, Picture) else part for part in turn.parts))


def _check_size(request: Request, model: Model, max_images: int) -> None:
    """Before anything is tokenised, which takes time in proportion."""
    length = sum(map(len, _texts(request.turns)))
    if isinstance(request.prompt, str):
        length += len(request.prompt)
    if length > MAX_TEXT:
        raise _too_long(f"it has more than {MAX_TEXT} characters", model, request.place)
    pictures = _pictures(request.turns)
    if len(pictures) > max_images:
        place = pictures[max_images].place
        message = f"{place}: A request can hold at most {max_images} images."
        raise InvalidRequest(message, code="too_many_images", param=place)


def _invalid(message: str, param: str) -> InvalidRequest:
    # some clients show the text alone, so it says where as well
    return InvalidRequest(f"{param}: {message}", code="invalid_value", param=param)


def _too_long(why: str, model: Model, param: str) -> InvalidRequest:
    # clients know this case by the first words, or by those behind the colon
    most = f"this model's maximum context length is {model.engine.info.max_length} tokens"
    message = f"{param}: The prompt is too long: {most}, but {why}."
    return InvalidRequest(message, code="context_length_exceeded", param=param)
