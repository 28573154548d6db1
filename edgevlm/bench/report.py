"""Samples become percentiles, tables and JSON. Knows no HTTP; latencies are those of answers that came whole."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from edgevlm.bench.client import OK, Sample


class Spread(NamedTuple):
    """How a number of times, in seconds, are spread."""

    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One phase in numbers: rates count whole answers over all of its `seconds`, tokens are the answers'.

    `cached` is the share of the prompts' tokens that the server had already, `None` where it does not say.
    """

    requests: int
    ok: int
    errors: dict[str, int]
    seconds: float
    requests_per_second: float
    tokens_per_second: float
    time_to_first_token: Spread | None
    gap: Spread | None
    end_to_end: Spread | None
    cached: float | None


def summarise(samples: Sequence[Sample], seconds: float) -> Summary:
    """What a phase of so many seconds has shown."""
    whole = [sample for sample in samples if sample.outcome == OK]
    return Summary(
        requests=len(samples),
        ok=len(whole),
        errors=dict(Counter(sample.outcome for sample in samples if sample.outcome != OK).most_common()),
        seconds=seconds,
        requests_per_second=len(whole) / seconds,
        tokens_per_second=sum(sample.tokens for sample in whole) / seconds,
        time_to_first_token=spread(time for s in whole if (time := s.time_to_first_token) is not None),
        gap=spread(gap for sample in whole for gap in sample.gaps),
        end_to_end=spread(sample.end_to_end for sample in whole),
        cached=_cached_share(whole),
    )


def spread(times: Iterable[float]) -> Spread | None:
    """`None` if there are none."""
    ordered = sorted(times)
    if not ordered:
        return None
    return Spread(percentile(ordered, 0.5), percentile(ordered, 0.9), percentile(ordered, 0.99), ordered[-1])


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies, between two of them in proportion."""
    below, part = divmod(share * (len(ordered) - 1), 1)
    low, high = ordered[int(below)], ordered[min(int(below) + 1, len(ordered) - 1)]
    return low + part * (high - low)


def markdown(summary: Summary) -> str:
    """Two tables: times, then rates and counts."""
    times = {
        "to the first token, ms": summary.time_to_first_token,
        "between two pieces of text, ms": summary.gap,
        "to the end, ms": summary.end_to_end,
    }
    lines = ["| | p50 | p90 | p99 | max |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(milliseconds(found))} |" for name, found in times.items()]
    lines += ["", "| requests | ok | errors | seconds | requests/s | tokens/s | prompt cached |", "|---" * 7 + "|"]
    lines.append(
        f"| {summary.requests} | {summary.ok} | {errors_text(summary)} | {summary.seconds:.1f} "
        f"| {summary.requests_per_second:.2f} | {summary.tokens_per_second:.1f} | {cached_text(summary)} |"
    )
    return "\n".join(lines) + "\n"


def milliseconds(found: Spread | None) -> list[str]:
    """The cells of a table."""
    return [""] * len(Spread._fields) if found is None else [f"{1000 * seconds:.1f}" for seconds in found]


def errors_text(summary: Summary) -> str:
    """The cell of a table, `0` where there are none."""
    return ", ".join(f"{count} x {outcome}" for outcome, count in summary.errors.items()) or "0"


def cached_text(summary: Summary) -> str:
    """The cell of a table, empty where the server does not say."""
    return "" if summary.cached is None else f"{100 * summary.cached:.0f} %"


def summary_json(summary: Summary) -> dict[str, Any]:
    """All times in seconds."""
    return {
        name: found._asdict() if isinstance(found := getattr(summary, name), Spread) else found
        for name in Summary.__slots__
    }


def sample_json(sample: Sample) -> dict[str, Any]:
    """All times in seconds since the phase began, but the two that are reckoned from `intended`."""
    return {
        **asdict(sample),
        "time_to_first_token": sample.time_to_first_token,
        "end_to_end": sample.end_to_end,
    }


def _cached_share(samples: Iterable[Sample]) -> float | None:
    known = [(s.cached_tokens, s.prompt_tokens) for s in samples if s.cached_tokens is not None and s.prompt_tokens]
    prompt = sum(tokens for _, tokens in known)
    return sum(cached for cached, _ in known) / prompt if prompt else None
