"""Clients of a site: what each of them saw of its request, whole or not. Knows no devices."""

import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.site import AFFINITY
from edgevlm.bench.bodies import QUESTION
from tests.live import sse
from tests.pictures import image_part, text_part, user
from tests.server.engines import until

WHOLE = "whole"
CUT_IN_SILENCE = "ended like a whole answer, and is none"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw: `WHOLE` with the text, or an error in words. `started` by `time.monotonic`."""

    request: str
    started: float
    outcome: str
    text: str = ""


def question(picture: str, tokens: int, *, stream: bool) -> dict[str, Any]:
    """A request whose answer has exactly so many tokens."""
    messages = user(image_part(picture), text_part(QUESTION))
    return {"messages": messages, "max_tokens": tokens, "ignore_eos": True, "stream": stream}


def ask(client: httpx.Client, body: dict[str, Any], affinity: str | None = None) -> Seen:
    """Send once, never again by itself."""
    request = uuid.uuid4().hex
    headers = {"x-request-id": request} | ({} if affinity is None else {AFFINITY: affinity})
    started = time.monotonic()
    try:
        with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
            if response.status_code != 200:
                return Seen(request, started, f"status {response.status_code}: {response.read().decode()}")
            if not body["stream"]:
                return Seen(request, started, WHOLE, json.loads(response.read())["choices"][0]["message"]["content"])
            return _streamed(request, started, list(sse(response)))
    except httpx.HTTPError as error:
        return Seen(request, started, type(error).__name__)


def _streamed(request: str, started: float, events: Sequence[dict[str, Any] | str]) -> Seen:
    if any(isinstance(event, dict) and "error" in event for event in events):
        return Seen(request, started, "error in the stream")
    if not events or events[-1] != "[DONE]":
        return Seen(request, started, CUT_IN_SILENCE)
    choices = [choice for event in events if isinstance(event, dict) for choice in event["choices"]]
    return Seen(request, started, WHOLE, "".join(choice["delta"].get("content") or "" for choice in choices))


class Crowd:
    """Clients who ask one after the other, every other request streamed, until the block ends or `most` are done."""

    def __init__(self, client: httpx.Client, picture: str, tokens: int, clients: int, most: int) -> None:
        self.clients = clients
        self.results: list[Seen] = []
        """Of all requests that have ended."""
        self._client = client
        self._bodies = [question(picture, tokens, stream=stream) for stream in (True, False)]
        self._numbers = iter(range(most))
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def more(self) -> None:
        """Wait until some requests that begin from now on have ended."""
        enough = len(self.results) + 3 * self.clients
        until(lambda: len(self.results) >= enough, "more answers")

    def _run(self) -> None:
        while not self._over.is_set() and (number := next(self._numbers, None)) is not None:
            self.results.append(ask(self._client, self._bodies[number % 2]))
