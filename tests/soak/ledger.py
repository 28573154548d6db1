"""What the clients have counted, and what of it the server's metrics must show. Knows no sockets."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """The clients' side. `problems` are sentences about answers that were wrong or missing."""

    sent: int = 0
    """Requests of which the server has at least the whole head."""
    answered: int = 0
    cancelled: int = 0
    """Left by us: the server may have been done before."""
    refused: Counter[str] = field(default_factory=Counter)
    """By code."""
    lost: Counter[str] = field(default_factory=Counter)
    """Good questions that were refused, by their text: the process that decoded their picture was killed. Several
    requests may have waited for the same one."""
    problems: list[str] = field(default_factory=list)

    @property
    def outcomes(self) -> int:
        """Requests whose end was seen."""
        return self.answered + self.cancelled + self.refused.total()


def read_metrics(text: str) -> dict[str, float]:
    """Every series by its name with labels; the sum of a name's series also under its bare name."""
    series: defaultdict[str, float] = defaultdict(float)
    for name, labels, value in re.findall(r"^(\w+)(\{.*\})? (\S+)$", text, re.MULTILINE):
        series[name] += float(value)
        if labels:
            series[name + labels] += float(value)
    return series


def imbalances(ledger: Ledger, series: dict[str, float]) -> list[str]:
    """A sentence for each count that does not agree; the server must have nobody inside any more.

    Whoever leaves does not see what the server had made of it: that may be any end, but each has exactly one.
    """

    def total(name: str) -> int:
        return int(series[f"edgevlm_{name}"])

    def rejected(reason: str) -> int:
        return total(f'admission_rejections_total{{reason="{reason}"}}')

    completed, cancelled = total("requests_completed_total"), total("requests_cancelled_total")
    accepted = total("requests_accepted_total")
    full, lost = ledger.refused["queue_full"], ledger.refused["image_decoder_busy"]
    seen = {
        "completed": (completed, ledger.answered),
        "refused": (rejected("invalid_request"), ledger.refused.total() - full - lost),
        "turned away": (rejected("queue_full"), full),
        "lost with a process": (rejected("unavailable"), lost),
    }
    unseen = sum(of_server - of_clients for of_server, of_clients in seen.values())
    equal = [
        ("requests with an end", ledger.outcomes, ledger.sent),
        ("received", total("requests_received_total"), ledger.sent),
        ("accepted or rejected", accepted + total("admission_rejections_total"), ledger.sent),
        ("accepted", accepted, completed + cancelled),
        ("left", unseen + cancelled + rejected("client_left"), ledger.cancelled),
        ("failed", total("requests_failed_total"), 0),
        ("rejected by a fault of the server", rejected("error"), 0),
        ("still running or waiting", total("num_requests_running") + total("num_requests_waiting"), 0),
    ]
    found = [f"{what}: {one}, expected {other}" for what, one, other in equal if one != other]
    fewer = [f"{what}: {one}, but {other} were seen" for what, (one, other) in seen.items() if one < other]
    return found + fewer
