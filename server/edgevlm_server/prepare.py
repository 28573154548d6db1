"""A checked request becomes sequences: messages to token ids, fields to limits. Knows no state, no threads."""

from collections import abc
from typing import Literal, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens

from edgevlm_server.api.chat import ChatRequest, Message
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.strict_model import MAX_TEXT
from edgevlm_server.errors import InvalidRequest, NotFound
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.model import Model
from edgevlm_server.request import EncodedImages, Generation, Picture
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.text.prompt import Turn, encode_conversation


class Conversation(NamedTuple):
    """A whole prompt as token ids and `IMAGE_TOKEN`, and the images in its order."""

    ids: list[int]
    pictures: list[Picture]


class Prepared(NamedTuple):
    """All of its sequences but features and constraint; `pictures` are in the prompt's order."""

    prompt: Tokens
    pictures: list[Picture]
    max_tokens: int
    stop_ids: frozenset[int]
    generation: Generation

    def sequences(self, seen: EncodedImages, constraint: Constraint | None) -> list[Sequence]:
        """One for each answer, once the images are encoded."""
        assert len(seen.features) == np.count_nonzero(self.prompt == IMAGE_TOKEN)
        return [
            Sequence(
                self.prompt,
                seen.features,
                self.max_tokens,
                self.stop_ids,
                self.generation.sampling,
                seen.files,
                min_tokens=self.generation.min_tokens,
                constraint=constraint and constraint.fresh(),
                logprobs=self.generation.logprobs,
                number=number,
            )
            for number in range(self.generation.choices)
        ]


def prepare(chat: ChatRequest, model: Model, max_images: int, places: abc.Sequence[str] | None = None) -> Prepared:
    """Raises `ApiError` for what cannot be served; short enough for the event loop, since texts are bounded.

    `places` say where the content of each message stands in a request of another shape.
    """
    check_model(chat.model, model)
    places = places or chat_places(chat.messages)
    ids, pictures = read_conversation(chat.messages, model, max_images, places)
    return plan(ids, pictures, chat.generation(), model, _root(places))


def prepare_text(asked: CompletionRequest, model: Model) -> Prepared:
    """A prompt without a template. Raises `ApiError`."""
    check_model(asked.model, model)
    if asked.ids is None:
        ids = [model.manifest.prompt.bos_id, *model.tokenizer.encode(asked.text, space_prefix=True)]
    else:
        ids = asked.ids
        check_ids(ids, model, "prompt")
    return plan(ids, [], asked.generation(), model, "prompt")


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


def chat_places(messages: abc.Sequence[Message]) -> list[str]:
    """Where the content of each message stands in a chat request."""
    return [f"messages.{index}.content" for index in range(len(messages))]


def read_conversation(
    messages: abc.Sequence[Message], model: Model, max_images: int, places: abc.Sequence[str]
) -> Conversation:
    """Messages through the template. Raises `ApiError` for what no template can hold, and for too much of it."""
    system, turns, pictures = _turns(messages, places)
    if not turns or turns[-1].role != "user":
        raise _invalid("The last message must be the user's.", _root(places))
    _check_size(system, turns, pictures, max_images, _root(places))
    manifest = model.manifest
    ids = encode_conversation(model.tokenizer, manifest.prompt, manifest.vision.image_tokens, turns, system)
    return Conversation(ids, pictures)


def plan(ids: list[int], pictures: list[Picture], generation: Generation, model: Model, root: str) -> Prepared:
    """A prompt and what is wanted behind it, held against what the model can. Raises `ApiError`."""
    if any(token >= model.tokenizer.vocab_size for token, _ in generation.sampling.logit_bias):
        raise _invalid(f"The model has the tokens 0 to {model.tokenizer.vocab_size - 1}.", "logit_bias")
    if generation.ignore_eos and generation.structure is not None:
        raise _invalid("An answer of a given form ends where the form ends.", "ignore_eos")
    max_tokens = token_limit(generation.max_tokens, len(ids), model.engine.info.max_length, root)
    if generation.min_tokens > max_tokens:
        raise _invalid(f"At most {max_tokens} tokens are allowed here.", "min_tokens")
    return Prepared(
        prompt=np.array(ids, np.int64),
        pictures=pictures,
        max_tokens=max_tokens,
        stop_ids=frozenset() if generation.ignore_eos else frozenset(model.manifest.prompt.stop_ids),
        generation=generation,
    )


def _turns(
    messages: abc.Sequence[Message], places: abc.Sequence[str]
) -> tuple[str | None, list[Turn], list[Picture]]:
    """System text, turns, and images with their places."""
    system: str | None = None
    turns: list[Turn] = []
    pictures: list[Picture] = []
    for index, (message, place) in enumerate(zip(messages, places, strict=True)):
        if message.images and message.role != "user":
            raise _invalid("Only a user message can hold images.", place)
        if message.role in ("system", "developer"):
            if index:
                raise _invalid("A system message must be the first one.", f"{place.removesuffix('.content')}.role")
            system = message.text
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        turns.append(Turn(role, message.text, len(message.images)))
        pictures += [Picture(image.url, image.uuid, place=place) for image in message.images]
    return system, turns, pictures


def _check_size(system: str | None, turns: list[Turn], pictures: list[Picture], max_images: int, root: str) -> None:
    if sum(len(turn.text) for turn in turns) + len(system or "") > MAX_TEXT:
        # told before it is tokenised, which takes time in proportion
        raise _too_long(f"All texts together are longer than {MAX_TEXT} characters.", root)
    if len(pictures) > max_images:
        raise InvalidRequest(f"A request can hold at most {max_images} images.", code="too_many_images", param=root)


def token_limit(wanted: int | None, prompt_length: int, longest: int, root: str) -> int:
    """How many tokens may be generated; refused if prompt and answer do not fit into one slot."""
    if prompt_length + (wanted or 1) > longest:
        raise _too_long(
            f"The context has {longest} positions; this prompt takes {prompt_length} "
            f"(images included) and asks for {wanted or 1} more.",
            root,
        )
    return longest - prompt_length if wanted is None else wanted


def _root(places: abc.Sequence[str]) -> str:
    """The field of the request that holds the conversation."""
    return places[-1].split(".")[0]


def _invalid(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)


def _too_long(message: str, root: str) -> InvalidRequest:
    return InvalidRequest(message, code="context_length_exceeded", param=root)
