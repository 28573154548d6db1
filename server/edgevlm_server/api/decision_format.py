"""What questions ask of the model, and its probabilities in the shape of OpenAI's decisions. Knows no engine.

A probability is that of one answer against the others that were given: they add up to 1. How much of what the model
would say these answers cover together is `label_mass`; near 0, the model would rather say something else.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from edgevlm_server.api.decisions import AnyQuestion, Choice, Predicate, Score

YES = ("yes", "Yes")
NO = ("no", "No")


class Asked(NamedTuple):
    """A question's text, and for each answer the ways to write it; their probabilities are added up."""

    text: str
    answers: list[tuple[str, ...]]


class Usage(NamedTuple):
    """Positions of all questions' prompts, how many of them were computed before, and tokens of the answers."""

    prompt: int
    cached: int
    scored: int


def asked(question: AnyQuestion) -> Asked:
    """What to ask, and which answers to weigh, in the question's order."""
    if isinstance(question, Predicate):
        return Asked(question.text, [YES, NO])
    if isinstance(question, Choice):
        labels = [_spellings(option.value) for option in question.choices]
        described = [(one[0], option.description) for one, option in zip(labels, question.choices, strict=True)]
    else:
        labels = [(level.label,) for level in question.levels]
        described = [(level.label, level.description) for level in question.levels]
    lines = [f"{label}: {text}" for label, text in described if text is not None]
    return Asked("\n".join([question.text, *lines]), labels)


def answer(question: AnyQuestion, logprobs: Sequence[Sequence[float]]) -> dict[str, Any]:
    """One answer's body; `logprobs` are those of each way to write each answer, as `asked` gave them."""
    logs = [_log_sum(spellings) for spellings in logprobs]
    shares = _shares(logs)
    head = {"type": question.type, "name": question.name}
    # spellings can begin alike, but none is the whole of another, so all of them together are at most 1
    diagnostics = {"diagnostics": {"label_mass": min(1.0, math.fsum(map(math.exp, logs)))}}
    if isinstance(question, Predicate):
        return {**head, "probability": shares[0], **diagnostics}
    best = shares.index(max(shares))
    if isinstance(question, Choice):
        values = [option.value for option in question.choices]
        listed = [{"value": value, "probability": share} for value, share in zip(values, shares, strict=True)]
        return {
            **head,
            "choice": values[best],
            "confidence": shares[best],
            "probabilities": listed,
            **diagnostics,
        }
    return {
        **head,
        "score": math.fsum(level * share for level, share in enumerate(shares)),
        "confidence": shares[best],
        "probabilities": _levels(question, shares),
        **diagnostics,
    }


def decision(model: str, answers: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
    """The whole body."""
    return {
        "object": "decision",
        "model": model,
        "answers": answers,
        "usage": {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.scored,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt + usage.scored,
        },
    }


def _levels(question: Score, shares: list[float]) -> list[dict[str, Any]]:
    return [
        {"value": value, "label": level.label, "probability": share}
        for value, (level, share) in enumerate(zip(question.levels, shares, strict=True))
    ]


def _spellings(value: str | bool) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return YES if value else NO


def _log_sum(logs: Sequence[float]) -> float:
    top = max(logs)
    return top + math.log(math.fsum(math.exp(one - top) for one in logs))


def _shares(logs: Sequence[float]) -> list[float]:
    """Probabilities that add up to 1, of logarithms that may all be far below what a float can hold."""
    top = max(logs)
    weights = [math.exp(one - top) for one in logs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
