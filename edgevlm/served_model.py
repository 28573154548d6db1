"""The model that a server lists first, or a sentence on why it cannot be asked. Knows no load and no questions."""

import asyncio
from typing import Any

from edgevlm.errors import CommandError
from edgevlm.exchange_failure import Failure, guarded, message, parsed, sentence
from edgevlm.http_client import Server, read

NO_MODEL = "no model"
LIST_SECONDS = 30.0  # for the list of models


def served_model(server: Server, advice: str = "", verb: str = "used") -> str:
    """The first model of the list. Raises `CommandError`.

    `advice` ends the sentence where there is none, and `verb` says what cannot be done with a server that fails.
    """
    try:
        return asyncio.run(_first_model(server))
    except Failure as failure:
        if failure.outcome == NO_MODEL:
            raise CommandError(f"{server.url} lists no model{advice}.") from None
        raise CommandError(sentence(server, failure.outcome, failure.detail, verb)) from None


async def _first_model(server: Server) -> str:
    listed = await guarded(_models(server), LIST_SECONDS)
    try:
        return str(listed["data"][0]["id"])
    except (KeyError, IndexError, TypeError):
        raise Failure(NO_MODEL, "") from None


async def _models(server: Server) -> Any:
    answer = await read(server, "GET", "/v1/models")
    listed = parsed(answer.body)
    if answer.status != 200:
        raise Failure(str(answer.status), message(listed))
    return listed
