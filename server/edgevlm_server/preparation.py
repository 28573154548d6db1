"""A checked chat request becomes a sequence: messages to token ids, fields to limits. Knows no state, no threads."""

from typing import Literal, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens

from edgevlm_server.errors import InvalidRequest, NotFound
from edgevlm_server.model import Model
from edgevlm_server.pictures import Seen
from edgevlm_server.prompt import Turn, encode_conversation
from edgevlm_server.sampling import SamplingParams
from edgevlm_server.schema import MAX_TEXT, ChatRequest
from edgevlm_server.sequence import Sequence


class Prepared(NamedTuple):
    """All of a sequence but its features; `urls` are the images in the prompt's order, each with its place."""

    prompt: Tokens
    urls: list[tuple[str, str]]
    max_tokens: int
    stop_ids: frozenset[int]
    sampling: SamplingParams

    def sequence(self, seen: Seen) -> Sequence:
        """The sequence, once its images are encoded."""
        assert len(seen.features) == np.count_nonzero(self.prompt == IMAGE_TOKEN)
        return Sequence(self.prompt, seen.features, self.max_tokens, self.stop_ids, self.sampling, seen.files)


def prepare(chat: ChatRequest, model: Model, max_images: int) -> Prepared:
    """Raises `ApiError` for what cannot be served; short enough for the event loop, since texts are bounded."""
    manifest = model.manifest
    if chat.model not in (None, manifest.model):
        raise NotFound(f"This server has one model, '{manifest.model}'.", code="model_not_found", param="model")
    system, turns, urls = _conversation(chat)
    _check_size(system, turns, urls, max_images)
    ids = encode_conversation(model.tokenizer, manifest.prompt, manifest.vision.image_tokens, turns, system)
    return Prepared(
        prompt=np.array(ids, np.int64),
        urls=urls,
        max_tokens=_token_limit(chat, len(ids), model.engine.info.max_length),
        stop_ids=frozenset(manifest.prompt.stop_ids),
        sampling=SamplingParams(
            temperature=chat.temperature or 0.0,
            top_p=1.0 if chat.top_p is None else chat.top_p,
            top_k=max(chat.top_k or 0, 0),
            seed=chat.seed,
        ),
    )


def _conversation(chat: ChatRequest) -> tuple[str | None, list[Turn], list[tuple[str, str]]]:
    """System text, turns, and images with their places."""
    system: str | None = None
    turns: list[Turn] = []
    urls: list[tuple[str, str]] = []
    for index, message in enumerate(chat.messages):
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
        urls += [(image.url, f"{place}.content") for image in message.images]
    if not turns or turns[-1].role != "user":
        raise _invalid("The last message must be the user's.", "messages")
    return system, turns, urls


def _check_size(system: str | None, turns: list[Turn], urls: list[tuple[str, str]], max_images: int) -> None:
    if sum(len(turn.text) for turn in turns) + len(system or "") > MAX_TEXT:
        # told before it is tokenised, which takes time in proportion
        raise _too_long(f"All texts together are longer than {MAX_TEXT} characters.")
    if len(urls) > max_images:
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
