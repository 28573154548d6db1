"""What a client would rather have, by the text of its `Accept`. Knows no route and no HTTP."""

from collections.abc import Sequence


def takes_json(accept: str) -> bool:
    """Whether a client would rather have JSON than text, by its `Accept`; who takes anything gets text."""
    return _prefers("application/json", accept, ("text/plain", "text/*", "*/*"))


def takes_csv(accept: str) -> bool:
    """Whether a client would rather have CSV than JSON; who takes anything gets JSON."""
    return _prefers("text/csv", accept, ("application/json", "application/*", "*/*"))


def _prefers(wanted: str, accept: str, others: Sequence[str]) -> bool:
    weights = dict(_weight(item) for item in accept.split(","))
    return 0 < weights.get(wanted, 0.0) >= max(weights.get(name, 0.0) for name in others)


def _weight(item: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0
