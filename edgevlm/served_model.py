"""The model that a server lists first, or a sentence on why it cannot be asked. Knows no load and no questions."""

import asyncio

from edgevlm.bench.client import NO_CONNECTION, NO_MODEL, Failure, first_model
from edgevlm.cli import CommandError
from edgevlm.http_client import Server


def served_model(server: Server, advice: str = "") -> str:
    """The first model of the list; `advice` ends the sentence where there is none. Raises `CommandError`."""
    try:
        return asyncio.run(first_model(server))
    except Failure as failure:
        if failure.outcome == NO_MODEL:
            raise CommandError(f"{server.url} lists no model{advice}.") from None
        raise CommandError(sentence(server, failure.outcome, failure.detail)) from None


def sentence(server: Server, outcome: str, detail: str) -> str:
    """Why the first answer of a server is none."""
    said = f": {detail.rstrip('.')}" if detail else ""
    if outcome == NO_CONNECTION:
        return f"{server.url} cannot be reached{said}."
    if outcome in ("401", "403"):
        wanted = "requires an API key; see --key-file" if server.key is None else "does not accept this API key"
        return f"{server.url} {wanted} ({outcome}{said})."
    if outcome == "404":
        return f"{server.url} has no such model, or no chat endpoint under {server.prefix}/v1 ({outcome}{said})."
    return f"{server.url} cannot be measured: the first answer is {outcome}{said}."
