"""A checked chat request becomes a sequence: messages to token ids, fields to limits. Knows no state, no threads."""

from typing import Literal, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens

from edgevlm_server.errors import InvalidRequest, NotFound
from edgevlm_server.model import Model
from edgevlm_server.pictures import Picture, Seen
from edgevlm_server.prompt import Turn, encode_conversation
from edgevlm_server.sampling import SamplingParams
from edgevlm_server.schema import MAX_TEXT, ChatRequest, Message
from edgevlm_server.sequence import Sequence


class Conversation(NamedTuple):
    """A whole prompt as token ids and `IMAGE_TOKEN`, and the images in its order."""

    ids: list[int]
    pictures: list[Picture]


class Prepared(NamedTuple):
    """All of a sequence but its features; `pictures` are in the prompt's order."""

    prompt: Tokens
    pictures: list[Picture]
    max_tokens: int
    stop_ids: frozenset[int]
    sampling: SamplingParams

    def sequence(self, seen: Seen) -> Sequence:
        """The sequence, once its images are encoded."""
        assert len(seen.features) == np.count_nonzero(self.prompt == IMAGE_TOKEN)
        return Sequence(self.prompt, seen.features, self.max_tokens, self.stop_ids, self.sampling, seen.files)


def prepare(chat: ChatRequest, model: Model, max_images: int) -> Prepared:
    """Raises `ApiError` for what cannot be served; short enough for the event loop, since texts are bounded."""
    check_model(chat.model, model)
    ids, pictures = read_conversation(chat.messages, model, max_images)
    return Prepared(
        prompt=np.array(ids, np.int64),
        pictures=pictures,
        max_tokens=_token_limit(chat, len(ids), model.engine.info.max_length),
        stop_ids=frozenset(model.manifest.prompt.stop_ids),
        sampling=SamplingParams(
            temperature=chat.temperature or 0.0,
            top_p=1.0 if chat.top_p is None else chat.top_p,
            top_k=max(chat.top_k or 0, 0),
            seed=chat.seed,
        ),
    )


def check_model(name: str | None, model: Model) -> None:
    """Raises `NotFound` for the name of another model."""
    if name not in (None, model.manifest.model):
        raise NotFound(f"This server has one model, '{model.manifest.model}'.", code="model_not_found", param="model")


def read_conversation(messages: list[Message], model: Model, max_images: int) -> Conversation:
    """Messages through the template. Raises `ApiError` for what no template can hold, and for too much of it."""
    system, turns, pictures = _turns(messages)
    _check_size(system, turns, pictures, max_images)
    manifest = model.manifest
    ids = encode_conversation(model.tokenizer, manifest.prompt, manifest.vision.image_tokens, turns, system)
    return Conversation(ids, pictures)


def _turns(messages: list[Message]) -> tuple[str | None, list[Turn], list[Picture]]:
    """System text, turns, and images with their places."""
    system: str | None = None
    turns: list[Turn] = []
    pictures: list[Picture] = []
    for index, message in enumerate(messages):
        place = f"messages.{index}"
        if message.images and message.role != "user":
            raise _invalid("Only a user message can hold images.", f"{place}.content")
        if message.role in ("system", "developer"):
            if index:
                raise _invalid("A system message must be the first one.", f"{place}.role")
            system = message.text
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        turns.append(Turn(role, message.text, len(message.images)))
        pictures += [Picture(image.url, image.uuid, f"{place}.content") for image in message.images]
    if not turns or turns[-1].role != "user":
        raise _invalid("The last message must be the user's.", "messages")
    return system, turns, pictures


def _check_size(system: str | None, turns: list[Turn], pictures: list[Picture], max_images: int) -> None:
    if sum(len(turn.text) for turn in turns) + len(system or "") > MAX_TEXT:
        # told before it is tokenised, which takes time in proportion
        raise _too_long(f"All texts together are longer than {MAX_TEXT} characters.")
    if len(pictures) > max_images:
        raise InvalidRequest(
            f"A request can hold at most {max_images} images.", code="too_many_images", param="messages"
        )


def _token_limit(chat: ChatRequest, prompt_length: int, longest: int) -> int:
    """How many tokens may be generated; refused if prompt and answer do not fit into one row."""
    wanted = chat.token_limit
    if prompt_length + (wanted or 1) > longest:
        raise _too_long(
            f"The context has {longest} positions; this prompt takes {prompt_length} "
            f"(images included) and asks for {wanted or 1} more."
        )
    return longest - prompt_length if wanted is None else wanted


def _invalid(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)


def _too_long(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="context_length_exceeded", param="messages")
