"""What is counted of answers, when they are whole: how sure the model was, and what came of them."""

from typing import get_args

from edgevlm_server.observe.families import SHARE_BUCKETS, Families
from edgevlm_server.refusals import REFUSED, NoValue, Refused

READINGS = ("read", *get_args(NoValue))


class AnswerMetrics:
    """Of texts, of decisions and of readings."""

    def __init__(self, families: Families) -> None:
        self._confidence = families.histogram(
            "answer_confidence", "How sure the model was of an answer: the probability of its tokens.", SHARE_BUCKETS
        )
        self._refused = families.counter(
            "answers_refused",
            "Answers that are refusals; by_model: it says it cannot tell, low_confidence: it is not sure enough.",
            "reason",
            values=REFUSED,
        )
        self._decided = families.histogram(
            "decision_confidence",
            "How sure the model was of the likeliest answer to a decision's question: the probability that, left "
            "alone, it would give that one.",
            SHARE_BUCKETS,
        )
        self._label_mass = families.histogram(
            "decision_label_mass",
            "Probability that the model, left alone, would give one of a question's answers; the rest is how far it "
            "refuses the question.",
            SHARE_BUCKETS,
        )
        self._read = families.counter(
            "readings", "Fields of readings that were answered, by what came of them.", "result", values=READINGS
        )

    def answered(self, confidence: float, refused: Refused | None) -> None:
        """Note one whole answer."""
        self._confidence.observe(confidence)
        if refused is not None:
            self.refused(refused)

    def refused(self, why: Refused) -> None:
        """Note one whole answer that is none, where only a reader can tell."""
        self._refused.labels(why).inc()

    def weighed(self, confidence: float, label_mass: float) -> None:
        """Note one answered question of a decisions request."""
        self._decided.observe(confidence)
        self._label_mass.observe(label_mass)

    def read(self, result: str) -> None:
        """Note what came of one field; `result` is one of `READINGS`."""
        self._read.labels(result).inc()
