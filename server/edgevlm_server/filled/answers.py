"""Answers that are filled field by field, as pieces of text like any others. Knows readings, no tokens, no HTTP."""

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from edgevlm_server.filled.fields import found
from edgevlm_server.filled.text import Found, Unwritable, written
from edgevlm_server.filled.tree import Leaf, leaves
from edgevlm_server.readings.field import Reading
from edgevlm_server.refusals import NOT_SURE, Refused
from edgevlm_server.request import Fill
from edgevlm_server.runtime.logprobs import Alternative, Logprobs
from edgevlm_server.runtime.output import Choices, Output, Usage
from edgevlm_server.runtime.written import Written

NOT_ALLOWED = "The model's answer is none of the values that the schema allows."

_REFUSED: dict[str, Refused] = {
    "refused": "by_model",
    "low_confidence": "low_confidence",
    "out_of_range": "out_of_range",
}


@dataclass(slots=True)
class _Filling:
    """One answer, as far as its leaves are read."""

    fill: Fill
    stop: Sequence[str]
    with_logprobs: bool
    readings: dict[Leaf, Reading] = field(default_factory=dict)
    given: str = ""
    confidence: float = 1.0
    """The smallest of its fields' so far."""
    lost: str | None = None
    """Why there is no answer."""
    refused: Refused | None = None
    end: Output | None = None
    """Its last piece, once it has ended."""
    _found: dict[Leaf, Found] = field(default_factory=dict)
    _logprob: float = 0.0
    """Of the fields that the next piece of text is about."""

    def take(self, leaf: Leaf, reading: Reading) -> Output:
        """Note what was read; return the text that is certain now."""
        self.readings[leaf], self._found[leaf] = reading, found(leaf, reading)
        self.confidence = min(self.confidence, reading.confidence)
        self._logprob += math.log(max(reading.confidence, math.ulp(0.0)))
        try:
            text = written(self.fill.root, self._found)
        except Unwritable as error:
            # nothing was let out before: see there
            self.lost = error.reason
            text = ""
        return self._piece("" if self.stop else text[len(self.given) :])

    @property
    def so_far(self) -> Output | None:
        """What it has come to; `None` before its first piece."""
        if self.end is not None:
            return replace(self.end, text=self.given)
        if self.given:
            return Output(self.given)
        return Output("", withheld=self._raw()) if self.readings else None

    def last(self, refusal: str) -> Output:
        """What is left, once all is read; `refusal` is what the model says when it cannot tell."""
        self.end = self._last(refusal)
        return self.end

    def _last(self, refusal: str) -> Output:
        if self.lost == "unfinished":
            return Output("", "length", confidence=self.confidence)
        if self.lost is not None:
            return self._refusal(_REFUSED[self.lost], refusal)
        reasons = [one.reason for one in self._found.values()]
        if None not in reasons:
            # nothing was read, whatever null may stand for it
            self.refused = _REFUSED.get(reasons[0] or "")
        end = self._piece(_cut(written(self.fill.root, self._found), self.stop) if self.stop else "")
        return Output(end.text, "stop", end.tokens, confidence=self.confidence, refused=self.refused)

    def _refusal(self, why: Refused, refusal: str) -> Output:
        self.refused = why
        text = {"by_model": refusal, "low_confidence": NOT_SURE, "out_of_range": NOT_ALLOWED}[why]
        return Output("", "stop", confidence=self.confidence, refused=why, refusal=text, withheld=self._raw())

    def _raw(self) -> str:
        """What the model said to each question."""
        return json.dumps({".".join(leaf.path): one.raw for leaf, one in self.readings.items()}, ensure_ascii=False)

    def _piece(self, text: str) -> Output:
        self.given += text
        if not text or not self.with_logprobs:
            return Output(text)
        sure, self._logprob = Logprobs(Alternative(0, self._logprob), ()), 0.0
        return Output(text, tokens=(Written(text, text.encode(), sure, first=False),))


class FilledChoices(Choices):
    """All fields of the first answer are read, then those of the next; they run side by side all the same."""

    def __init__(
        self,
        fill: Fill,
        count: int,
        readings: AsyncIterator[Reading],
        usage: Callable[[], Usage],
        refusal: str,
        *,
        stop: Sequence[str] = (),
        logprobs: bool = False,
    ) -> None:
        """`readings` come in the order of the leaves, `count` times; `usage` is that of all fields so far."""
        self._leaves = [*leaves(fill.root)]
        self._answered = [_Filling(fill, stop, logprobs) for _ in range(count)]
        self._readings = readings
        self._usage = usage
        self._refusal = refusal

    def __len__(self) -> int:
        return len(self._answered)

    @property
    def usage(self) -> Usage:
        """Of all fields so far."""
        return self._usage()

    def sureness(self, index: int) -> float:
        """Of the field that is least sure, so far."""
        return self._answered[index].confidence

    @property
    def refused(self) -> Refused | None:
        """Why one of them is none."""
        return next((one.refused for one in self._answered if one.refused is not None), None)

    def so_far(self) -> dict[int, Output]:
        """What each has come to, by its index; those that have not begun are left out."""
        return {index: said for index, one in enumerate(self._answered) if (said := one.so_far) is not None}

    async def pieces(self) -> AsyncGenerator[tuple[int, Output], None]:
        """Text as fields are read, then each answer's end. Raises `ApiError` if the engine fails, `ClientLeft`."""
        for index, filling in enumerate(self._answered):
            for leaf in self._leaves:
                piece = filling.take(leaf, await anext(self._readings))
                if piece.text:
                    yield index, piece
            yield index, filling.last(self._refusal)


def _cut(text: str, stop: Sequence[str]) -> str:
    """Up to the first of these texts."""
    return text[: min((found for one in stop if (found := text.find(one)) >= 0), default=len(text))]
