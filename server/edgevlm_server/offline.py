"""One question at a time on a loaded model, without HTTP and without threads: for the command line."""

from collections import abc
from collections.abc import Iterator

import numpy as np
from edgevlm_engines import Floats
from numpy.typing import NDArray

from edgevlm_server.model import Model
from edgevlm_server.runtime.logprobs import chosen_logprobs
from edgevlm_server.runtime.sampling import SamplingParams
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.text.detokenizer import Detokenizer
from edgevlm_server.text.prompt import Turn, encode_conversation


class TooLong(Exception):
    """The prompt leaves no room for an answer in its slot."""


def answer(
    model: Model,
    turns: abc.Sequence[Turn],
    features: Floats,
    *,
    max_tokens: int | None = None,
    sampling: SamplingParams | None = None,
) -> Iterator[str]:
    """Pieces of the answer's text. `features` are those of all images in order, as `encode` gives them.

    Raises `TooLong` for a prompt that leaves no room; a limit above the room ends where the room does.
    """
    yield from said(model, begun(model, turns, features, max_tokens=max_tokens, sampling=sampling))


def begun(
    model: Model,
    turns: abc.Sequence[Turn],
    features: Floats,
    *,
    max_tokens: int | None = None,
    sampling: SamplingParams | None = None,
) -> Sequence:
    """The answer before its first token. Raises `TooLong`."""
    tokens = np.array(
        encode_conversation(model.tokenizer, model.manifest.prompt, model.engine.info.image_tokens, turns), np.int64
    )
    room = model.engine.info.max_length - len(tokens)
    if room < 1:
        raise TooLong(f"The prompt takes {len(tokens)} of {model.engine.info.max_length} positions; shorten it.")
    return Sequence(
        prompt=tokens,
        features=features,
        max_tokens=min(max_tokens or room, room),
        stop_ids=frozenset(model.manifest.prompt.stop_ids),
        sampling=sampling or SamplingParams(),
    )


def said(model: Model, sequence: Sequence) -> Iterator[str]:
    """Pieces of the text of an answer that has begun, from its first token to its end."""
    text = Detokenizer(model.tokenizer)
    for token in generate(model, sequence):
        yield text.push(token)
    yield text.finish()


def encode(model: Model, pixels: abc.Sequence[NDArray[np.float32]]) -> Floats:
    """Features of all images, one after another: `[n * image_tokens, hidden_size]`."""
    features = [model.engine.encode_images(picture[np.newaxis])[0] for picture in pixels]
    return np.concatenate([np.zeros((0, model.engine.info.hidden_size), np.float32), *features])


def generate(model: Model, sequence: Sequence) -> Iterator[int]:
    """Run one sequence in slot 0 to its end; the end token is among the tokens."""
    return (token for token, _ in steps(model, sequence))


def steps(model: Model, sequence: Sequence) -> Iterator[tuple[int, Floats]]:
    """The same, each token with the logits `[vocab_size]` that it was chosen from."""
    logits = prefill(model, sequence)
    while True:
        token = sequence.sampler.sample(logits)
        [logprob] = chosen_logprobs(logits[np.newaxis], [token], model.about.confidence_temperature)
        sequence.take(token, logprob)
        yield token, logits
        if sequence.finish_reason is not None:
            return
        last = np.array([token], np.int64)
        logits = model.engine.decode(last, np.array([sequence.cached], np.int64))[0]


def prefill(model: Model, sequence: Sequence) -> Floats:
    """Write the whole prompt to slot 0, chunk by chunk; return the logits of its last position."""
    while True:
        tokens, features = sequence.chunk(model.engine.info.max_chunk)
        logits = model.engine.prefill(0, sequence.computed, tokens, features)
        sequence.computed += len(tokens)
        if not sequence.prompt_left:
            return logits
