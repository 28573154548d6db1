"""The answer to a question that was sent as a form: its text, or a small JSON object. Knows no state and no I/O."""

from collections.abc import Sequence
from typing import Any

from edgevlm_server.api.chat_format import usage_body
from edgevlm_server.runtime.choices import Whole
from edgevlm_server.runtime.output import Usage


class AskFormat:
    """`as_json` is what the client said it takes."""

    def __init__(self, model: str, *, as_json: bool) -> None:
        self._model = model
        self._as_json = as_json

    def completion(self, answers: Sequence[Whole], usage: Usage) -> dict[str, Any] | str:
        """The answer; as text it ends with a line break, as a terminal wants it."""
        [answer] = answers
        if not self._as_json:
            return f"{answer.text}\n"
        return {
            "answer": answer.text,
            "finish_reason": answer.finish_reason,
            "model": self._model,
            "usage": usage_body(usage),
        }


def takes_json(accept: str) -> bool:
    """Whether a client would rather have JSON than text, by its `Accept`; who takes anything gets text."""
    weights = dict(_weight(item) for item in accept.split(","))
    plain = max(weights.get(name, 0.0) for name in ("text/plain", "text/*", "*/*"))
    return weights.get("application/json", 0.0) > 0 and weights["application/json"] >= plain


def _weight(item: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0
