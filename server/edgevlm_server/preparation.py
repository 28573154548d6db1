"""A checked chat request becomes sequences: messages to token ids, fields to limits. Knows no state, no threads."""

from typing import Literal, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Tokens

from edgevlm_server.constraint import Constraint
from edgevlm_server.errors import InvalidRequest, NotFound
from edgevlm_server.generation import Generation
from edgevlm_server.model import Model
from edgevlm_server.pictures import Seen
from edgevlm_server.prompt import Turn, encode_conversation
from edgevlm_server.schema import ChatRequest
from edgevlm_server.sequence import Sequence
from edgevlm_server.strict_model import MAX_TEXT


class Prepared(NamedTuple):
    """All of its sequences but features and constraint; `urls` are the images in the prompt's order, with places."""

    prompt: Tokens
    urls: list[tuple[str, str]]
    max_tokens: int
    stop_ids: frozenset[int]
    generation: Generation

    def sequences(self, seen: Seen, constraint: Constraint | None) -> list[Sequence]:
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


def prepare(chat: ChatRequest, model: Model, max_images: int) -> Prepared:
    """Raises `ApiError` for what cannot be served; short enough for the event loop, since texts are bounded."""
    manifest = model.manifest
    if chat.model not in (None, manifest.model):
        raise NotFound(f"This server has one model, '{manifest.model}'.", code="model_not_found", param="model")
    system, turns, urls = _conversation(chat)
    _check_size(system, turns, urls, max_images)
    ids = encode_conversation(model.tokenizer, manifest.prompt, manifest.vision.image_tokens, turns, system)
    return plan(ids, urls, chat.generation(), model)


def plan(ids: list[int], urls: list[tuple[str, str]], generation: Generation, model: Model) -> Prepared:
    """A prompt and what is wanted behind it, held against what the model can. Raises `ApiError`."""
    if any(token >= model.tokenizer.vocab_size for token, _ in generation.sampling.logit_bias):
        raise _invalid(f"The model has the tokens 0 to {model.tokenizer.vocab_size - 1}.", "logit_bias")
    if generation.ignore_eos and generation.structure is not None:
        raise _invalid("An answer of a given form ends where the form ends.", "ignore_eos")
    max_tokens = _token_limit(generation.max_tokens, len(ids), model.engine.info.max_length)
    if generation.min_tokens > max_tokens:
        raise _invalid(f"At most {max_tokens} tokens are allowed here.", "min_tokens")
    return Prepared(
        prompt=np.array(ids, np.int64),
        urls=urls,
        max_tokens=max_tokens,
        stop_ids=frozenset() if generation.ignore_eos else frozenset(model.manifest.prompt.stop_ids),
        generation=generation,
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


def _token_limit(wanted: int | None, prompt_length: int, longest: int) -> int:
    """How many tokens may be generated; refused if prompt and answer do not fit into one row."""
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
