"""What a precision costs: a bundle beside the same checkpoint in fp32, token by token on the reference's own answers.

Pictures are drawings of factory scenes, questions are asked about them; neither needs to suit the model, since only
the two results are compared. One model is loaded at a time.
"""

from collections import abc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevlm.accuracy.questions import QUESTIONS, Case, drawn_cases
from edgevlm.markdown import markdown

if TYPE_CHECKING:
    from edgevlm_server.model import Model
    from edgevlm_server.runtime.sequence import Sequence

PICTURES = 24
MAX_TOKENS = 24  # of each answer

Array = NDArray[np.float32]


class Result(NamedTuple):
    """What a model makes of a case: features `[image_tokens, hidden_size]`, an answer, logits `[tokens, vocab]`."""

    features: Array
    answer: list[int]
    logits: Array


class Comparison(NamedTuple):
    """Over all cases. Divergences in nats, from the reference's distribution to the other's."""

    questions: int
    tokens: int
    lowest_cosine: float
    mean_cosine: float
    same_tokens: float
    same_answers: float
    mean_divergence: float
    largest_divergence: float

    def rows(self) -> dict[str, str]:
        """What a table says of it."""
        return {
            "questions, tokens of their answers": f"{self.questions}, {self.tokens}",
            "cosine of image features, mean": f"{self.mean_cosine:.5f}",
            "cosine of image features, lowest": f"{self.lowest_cosine:.5f}",
            "same most likely token": f"{100 * self.same_tokens:.2f} %",
            "same answer from its first token to its last": f"{100 * self.same_answers:.2f} %",
            "Kullback-Leibler divergence, mean": f"{self.mean_divergence:.5f}",
            "Kullback-Leibler divergence, largest": f"{self.largest_divergence:.3f}",
        }


def table(columns: dict[str, Comparison]) -> str:
    """A column for each bundle, under its title."""
    found = [comparison.rows() for comparison in columns.values()]
    return markdown([("beside fp32", *columns), *((name, *(rows[name] for rows in found)) for name in found[0])])


def compare(
    reference: Path, bundles: abc.Sequence[Path], advance: Callable[[int], None], pictures: int = PICTURES
) -> list[Comparison]:
    """Each bundle beside the reference on the same questions; `advance` is told of each that a model has answered."""
    from edgevlm_demo.scenes import FIRST_EVALUATION_SEED

    with _loaded(reference) as model:
        cases = list(drawn_cases(model.manifest, model.tokenizer, FIRST_EVALUATION_SEED, pictures))
        expected = [*_results(model, cases, None, advance)]
    answers = [result.answer for result in expected]
    comparisons = []
    for bundle in bundles:
        with _loaded(bundle) as model:
            comparisons.append(_comparison(expected, [*_results(model, cases, answers, advance)]))
    return comparisons


def steps(bundles: int, pictures: int = PICTURES) -> int:
    """How often `compare` calls `advance`."""
    return (1 + bundles) * QUESTIONS * pictures


@contextmanager
def _loaded(bundle: Path) -> Iterator["Model"]:
    from edgevlm_server.model import load_model
    from edgevlm_server.settings import Settings

    model = load_model(bundle, Settings.offline())
    try:
        yield model
    finally:
        model.engine.close()


def _results(
    model: "Model", cases: list[Case], answers: list[list[int]] | None, advance: Callable[[int], None]
) -> Iterator[Result]:
    """Every case, with the model's own greedy answer or along the one that is given."""
    from edgevlm_server.offline import encode
    from edgevlm_server.runtime.sequence import Sequence

    features: Array = np.zeros(0, np.float32)
    for index, case in enumerate(cases):
        features = features if case.shared else encode(model, [case.pixels])
        sequence = Sequence(case.tokens, features, MAX_TOKENS, frozenset(model.manifest.prompt.stop_ids))
        yield Result(features, *_follow(model, sequence, None if answers is None else answers[index]))
        advance(1)


def _follow(model: "Model", sequence: "Sequence", answer: list[int] | None) -> tuple[list[int], Array]:
    """The answer with the logits that each of its tokens was chosen from."""
    from edgevlm_server.offline import prefill

    logits = [prefill(model, sequence)]
    while True:
        step = len(sequence.generated)
        sequence.generated.append(int(logits[-1].argmax()) if answer is None else answer[step])
        if sequence.finish_reason is not None:
            return sequence.generated, np.stack(logits)
        last = np.array(sequence.generated[-1:], np.int64)
        logits.append(model.engine.decode(last, np.array([sequence.cached], np.int64))[0])


def _comparison(expected: list[Result], found: list[Result]) -> Comparison:
    pairs = list(zip(expected, found, strict=True))
    cosines = [_cosine(one.features, other.features) for one, other in pairs]
    same = [one.logits.argmax(axis=1) == other.logits.argmax(axis=1) for one, other in pairs]
    divergences = np.concatenate([_divergence(one.logits, other.logits) for one, other in pairs])
    return Comparison(
        questions=len(pairs),
        tokens=len(divergences),
        lowest_cosine=min(cosines),
        mean_cosine=sum(cosines) / len(cosines),
        same_tokens=float(np.concatenate(same).mean()),
        same_answers=sum(bool(one.all()) for one in same) / len(same),
        mean_divergence=float(divergences.mean()),
        largest_divergence=float(divergences.max()),
    )


def _cosine(one: Array, other: Array) -> float:
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def _divergence(reference: Array, other: Array) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of each position, `[n, vocab]` twice -> `[n]`."""
    one, two = _log_softmax(reference), _log_softmax(other)
    divergence: NDArray[np.float64] = (np.exp(one) * (one - two)).sum(axis=1)
    return divergence


def _log_softmax(logits: Array) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised
