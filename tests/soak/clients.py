"""Clients that ask, leave and send rubbish, each until a time. The ledger gets the end of every request."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from tests.soak.ledger import Ledger
from tests.soak.questions import Question, fresh_question, refused_bodies

CHAT = "/v1/chat/completions"
CANCELS, REFUSED, FRESH, STREAMS = 0.2, 0.1, 0.1, 0.7
"""Shares of all requests."""

MOST_PROBLEMS = 20
"""As many sentences say enough."""


class Clients:
    """Shares one pool of connections. `known` are answers that were given with nobody else inside."""

    def __init__(self, url: str, ledger: Ledger, streams: int) -> None:
        self._url = url
        self._limits = httpx.Limits(max_connections=streams + 100, max_keepalive_connections=streams)
        self._http = self._opened()
        self._ledger = ledger
        self._known: list[tuple[Question, str]] = []
        self._rubbish = refused_bodies()

    async def learn(self, questions: list[Question]) -> None:
        """Ask each alone, whole and streamed: both must say the same. Also everything that is refused, once."""
        for question in questions:
            whole = await self._whole(question)
            assert whole == "".join([piece async for piece in self._streamed(question)])
            self._known.append((question, whole))
            self._ledger.answered += 2
        for body in self._rubbish:
            await self._refused(body)

    async def ask_until(self, end: float, chance: random.Random) -> None:
        """One request after the other."""
        while time.monotonic() < end and len(self._ledger.problems) < MOST_PROBLEMS:
            try:
                await self._one(chance)
            except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
                self._ledger.problems.append(f"no whole answer: {error!r}")

    async def burst(self, count: int, chance: random.Random) -> None:
        """So many at once."""
        known = (self._answer(*chance.choice(self._known), stream=False) for _ in range(count // 2))
        fresh = (self._answer(fresh_question(chance), "", stream=True) for _ in range(count // 2))
        await asyncio.gather(*known, *fresh)

    async def metrics(self) -> str:
        return (await self._http.get("/metrics")).raise_for_status().text

    async def close(self) -> None:
        """Every connection; the next request opens new ones."""
        await self._http.aclose()
        self._http = self._opened()

    def _opened(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._url, timeout=60, limits=self._limits)

    async def _one(self, chance: random.Random) -> None:
        if chance.random() < REFUSED:
            return await self._refused(chance.choice(self._rubbish))
        question, expected = chance.choice(self._known)
        if chance.random() < FRESH:
            question, expected = fresh_question(chance), ""
        stream = chance.random() < STREAMS
        if chance.random() < CANCELS:
            return await self._leave(question, expected, stream, chance)
        await self._answer(question, expected, stream)

    async def _answer(self, question: Question, expected: str, stream: bool) -> None:
        try:
            if stream:
                text = "".join([piece async for piece in self._streamed(question)])
            else:
                text = await self._whole(question)
        except _Refused as refused:
            return self._note(question, refused)
        self._ledger.answered += 1
        if not text.endswith(question.end) or (expected and text != expected):
            self._ledger.problems.append(f"mixed: {text!r} instead of {expected or question.end!r}")

    async def _leave(self, question: Question, expected: str, stream: bool, chance: random.Random) -> None:
        """Within the stream's first tokens, or within some hundredths of a second after the request."""
        try:
            if stream:
                text, left = await self._begun(question, chance.randrange(1, 20))
            else:
                text, left = await self._given_up(question, chance.uniform(0, 0.04))
        except _Refused as refused:
            return self._note(question, refused)
        if left:
            self._ledger.cancelled += 1
        else:
            self._ledger.answered += 1
        if expected and not expected.startswith(text):
            self._ledger.problems.append(f"mixed: {text!r} instead of {expected!r}")

    async def _begun(self, question: Question, pieces: int) -> tuple[str, bool]:
        """So many pieces of a stream, and whether more were to come."""
        text = ""
        async with aclosing(self._streamed(question)) as stream:
            async for piece in stream:
                text, pieces = text + piece, pieces - 1
                if not pieces:
                    return text, True
        return text, False

    async def _given_up(self, question: Question, seconds: float) -> tuple[str, bool]:
        """A whole answer that is waited for so long, from when the server has been sent all of the request."""
        sent = asyncio.Event()

        async def trace(event: str, info: dict[str, Any]) -> None:
            if event == "http11.send_request_body.complete":
                sent.set()

        asked = asyncio.create_task(self._whole(question, trace=trace))
        sending = asyncio.create_task(sent.wait())
        await asyncio.wait([asked, sending], return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        await asyncio.wait([asked], timeout=seconds)
        asked.cancel()
        try:
            return await asked, False
        except asyncio.CancelledError:
            return "", True

    def _note(self, question: Question, refused: "_Refused") -> None:
        self._ledger.refused[refused.code] += 1
        if refused.code == "image_decoder_busy":
            self._ledger.lost[question.text] += 1
        elif refused.code != "queue_full":
            self._ledger.problems.append(f"a good request was refused: {refused}")

    async def _refused(self, body: bytes) -> None:
        self._ledger.sent += 1
        response = await self._http.post(CHAT, content=body, headers={"content-type": "application/json"})
        if not 400 <= response.status_code < 500:
            self._ledger.problems.append(f"status {response.status_code} for {body[:60]!r}")
        self._ledger.refused[response.json()["error"]["code"]] += 1

    async def _whole(self, question: Question, **extensions: Any) -> str:
        self._ledger.sent += 1
        response = await self._http.post(CHAT, json=question.body, extensions=extensions)
        if response.status_code != 200:
            raise _Refused(response)
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    async def _streamed(self, question: Question) -> AsyncGenerator[str, None]:
        """Pieces of text; ends with `[DONE]`, or raises `ValueError`."""
        self._ledger.sent += 1
        async with self._http.stream("POST", CHAT, json={**question.body, "stream": True}) as response:
            if response.status_code != 200:
                await response.aread()
                raise _Refused(response)
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    return
                if line:
                    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    yield "".join(choice["delta"].get("content") or "" for choice in event["choices"])
        raise ValueError("a stream without its end")


class _Refused(Exception):
    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.text)
        self.code: str = response.json()["error"]["code"]
