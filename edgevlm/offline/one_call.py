"""`edgevlm.ask`: pictures and a question in, the answer out, with the names that upstream's `inference_once` has."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from edgevlm_engines.names import Precision
    from edgevlm_server.runtime.sampling import SamplingParams

    from edgevlm.pictures import Picture

Name = str | os.PathLike[str]

TEMPLATES = ("v1", "vicuna_v1")
"""Upstream's names of the one template that all published models were trained with."""


@overload
def ask(
    model: Name | None = ...,
    image: "Picture | Sequence[Picture] | None" = ...,
    prompt: str = ...,
    *,
    stream: Literal[False] = ...,
    max_new_tokens: int = ...,
    temperature: float = ...,
    top_p: float | None = ...,
    num_beams: int = ...,
    conv_mode: str = ...,
    load_8bit: bool = ...,
    load_4bit: bool = ...,
    model_path: Name | None = ...,
    image_file: "Picture | Sequence[Picture] | None" = ...,
) -> str: ...
@overload
def ask(
    model: Name | None = ...,
    image: "Picture | Sequence[Picture] | None" = ...,
    prompt: str = ...,
    *,
    stream: Literal[True],
    max_new_tokens: int = ...,
    temperature: float = ...,
    top_p: float | None = ...,
    num_beams: int = ...,
    conv_mode: str = ...,
    load_8bit: bool = ...,
    load_4bit: bool = ...,
    model_path: Name | None = ...,
    image_file: "Picture | Sequence[Picture] | None" = ...,
) -> Iterator[str]: ...
def ask(
    model: Name | None = None,
    image: "Picture | Sequence[Picture] | None" = None,
    prompt: str = "",
    *,
    stream: bool = False,
    max_new_tokens: int = 512,
    temperature: float = 0.0,
    top_p: float | None = None,
    num_beams: int = 1,
    conv_mode: str = "v1",
    load_8bit: bool = False,
    load_4bit: bool = False,
    model_path: Name | None = None,
    image_file: "Picture | Sequence[Picture] | None" = None,
) -> str | Iterator[str]:
    """The answer to `prompt` about one picture, several, or none; with `stream`, its pieces as they are made.

    `model` is a bundle, a checkpoint, the name of a published model, or nothing for the demo model; it is loaded for
    this call alone, with `stream` when the first piece is asked for. `image` is a file's path, a picture's bytes as
    they stand in a file, or an object of Pillow. `model_path` and `image_file` are other names of the two.
    `load_8bit` and `load_4bit` choose the precision that a checkpoint is converted to; of a bundle they say which it
    must have. Raises `ValueError` for what cannot be meant, `EngineError` and `CommandError`, each with one sentence,
    for what cannot be done.
    """
    from edgevlm_server.runtime.sampling import SamplingParams

    if num_beams > 1:
        raise ValueError("num_beams above 1 is not supported: the model answers greedily, or by sampling.")
    if conv_mode not in TEMPLATES:
        raise ValueError(f"conv_mode {conv_mode!r} is not supported; the published models were trained with 'v1'.")
    if not prompt.strip():
        raise ValueError("There is no question: give a prompt.")
    if max_new_tokens < 1:
        raise ValueError("max_new_tokens must be at least 1.")
    if not 0 <= temperature < math.inf:
        raise ValueError("temperature must be a number from 0 up.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("top_p must lie between 0 and 1, and not be 0.")
    pictures = _listed(_one_of("image", image, "image_file", image_file))
    sampling = SamplingParams(temperature=temperature, top_p=1.0 if top_p is None else top_p)
    named, precision = _one_of("model", model, "model_path", model_path), _precision(load_8bit, load_4bit)
    pieces = _answer(named, precision, pictures, prompt, max_new_tokens, sampling)
    return pieces if stream else "".join(pieces).strip()


def _answer(
    model: Name | None,
    precision: "Precision | None",
    pictures: "Sequence[Picture]",
    prompt: str,
    max_tokens: int,
    sampling: "SamplingParams",
) -> Iterator[str]:
    """Pieces of the answer. Nothing is loaded before the first one is asked for: who asks for none holds nothing."""
    from edgevlm_server.settings import Settings
    from edgevlm_server.text.prompt import Mark, Turn

    from edgevlm.offline.local_model import LocalModel

    named = None if model is None else Path(model)
    with LocalModel.load(named, Settings.offline(), precision) as local:
        features = local.features(pictures)
        yield from local.answer(
            [Turn("user", (*[Mark.IMAGE] * len(pictures), prompt))], features, max_tokens, sampling
        )


def _precision(load_8bit: bool, load_4bit: bool) -> "Precision | None":
    if load_8bit and load_4bit:
        raise ValueError("load_8bit and load_4bit exclude each other.")
    return "int8" if load_8bit else "int4" if load_4bit else None


def _one_of(name: str, value: object, other_name: str, other: object) -> Any:
    if value is not None and other is not None:
        raise ValueError(f"{name} and {other_name} are two names of one thing; give one of them.")
    return other if value is None else value


def _listed(image: "Picture | Sequence[Picture] | None") -> "list[Picture]":
    if image is None:
        return []
    return list(image) if isinstance(image, list | tuple) else [image]  # type: ignore[list-item]
