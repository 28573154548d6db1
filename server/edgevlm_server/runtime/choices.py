"""The answers to one request, read side by side. Knows asyncio, no wire shapes and no HTTP."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import NamedTuple

from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.runtime.output import Answer, Delta, FinishReason, Usage


class Whole(NamedTuple):
    """All of one answer."""

    text: str
    finish_reason: FinishReason | None
    tokens: tuple[Logprobs, ...]


class Choices:
    """Answers in the order of their index."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = tuple(answers)

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def usage(self) -> Usage:
        """So far. A prompt counts once, however many answers it gets."""
        each = [answer.usage for answer in self._answers]
        first = [answer.usage for answer in self._answers if answer.number == 0]
        return Usage(
            prompt=sum(usage.prompt for usage in first),
            cached=sum(usage.cached for usage in first),
            completion=sum(usage.completion for usage in each),
        )

    async def whole(self) -> list[Whole]:
        """Every answer to its end. Raises what `Answer.deltas` raises."""
        deltas: list[list[Delta]] = [[] for _ in self._answers]
        async for index, delta in self.deltas():
            deltas[index].append(delta)
        return [
            Whole(
                "".join(delta.text for delta in one),
                one[-1].finish_reason,
                tuple(token for delta in one for token in delta.tokens),
            )
            for one in deltas
        ]

    async def deltas(self) -> AsyncGenerator[tuple[int, Delta], None]:
        """Pieces of all answers as they come, each with the index of its answer."""
        if len(self._answers) == 1:
            async for delta in self._answers[0].deltas():
                yield 0, delta
            return
        streams = [answer.deltas() for answer in self._answers]
        reading = {_next(stream): index for index, stream in enumerate(streams)}
        try:
            while reading:
                done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=reading.__getitem__):
                    piece = task.result()
                    index = reading.pop(task)
                    if piece is not None:
                        reading[_next(streams[index])] = index
                        yield index, piece
        finally:
            await _give_up(reading)


def _next(stream: AsyncIterator[Delta]) -> "asyncio.Task[Delta | None]":
    """The next piece, `None` behind the last one."""

    async def read() -> Delta | None:
        return await anext(stream, None)

    return asyncio.create_task(read())


async def _give_up(tasks: "dict[asyncio.Task[Delta | None], int]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
