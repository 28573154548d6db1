"""The answers to one request, side by side. Event loop only; knows no engine, no wire shapes and no HTTP."""

import asyncio
from abc import ABC, abstractmethod
from collections import abc
from collections.abc import AsyncGenerator, AsyncIterator

from edgevlm_server.refusals import Refused
from edgevlm_server.runtime.output import Answer, Output, Usage, joined


class Choices(ABC):
    """The answers to one request, in the order of their index."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def usage(self) -> Usage:
        """So far. A prompt counts once, however many answers it gets."""

    @abstractmethod
    def sureness(self, index: int) -> float:
        """How sure the model is of one of them, so far."""

    @property
    @abstractmethod
    def refused(self) -> Refused | None:
        """Why one of them is none."""

    @abstractmethod
    def so_far(self) -> dict[int, Output]:
        """What each has come to, by its index; those that have not begun are left out."""

    @abstractmethod
    def pieces(self) -> AsyncGenerator[tuple[int, Output], None]:
        """Pieces of all answers as they come, each with the index of its answer."""

    @property
    def confidence(self) -> float:
        """So far, of the one that is least sure."""
        return min(map(self.sureness, range(len(self))))

    async def whole(self) -> list[Output]:
        """Every answer to its end. Raises what `pieces` raises."""
        pieces: list[list[Output]] = [[] for _ in range(len(self))]
        async for index, piece in self.pieces():
            pieces[index].append(piece)
        return [joined(one) for one in pieces]


class SideBySide(Choices):
    """Each a sequence of its own."""

    def __init__(self, answers: abc.Sequence[Answer]) -> None:
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

    def sureness(self, index: int) -> float:
        """Of the tokens so far."""
        return self._answers[index].confidence

    @property
    def refused(self) -> Refused | None:
        """Why one of them is none."""
        return next((answer.refused for answer in self._answers if answer.refused is not None), None)

    def so_far(self) -> dict[int, Output]:
        """What each has come to, by its index; those that have not begun are left out."""
        return {index: said for index, one in enumerate(self._answers) if (said := one.so_far) is not None}

    async def pieces(self) -> AsyncGenerator[tuple[int, Output], None]:
        """Pieces of all answers as they come, each with the index of its answer."""
        if len(self._answers) == 1:
            async for piece in self._answers[0].pieces():
                yield 0, piece
            return
        streams = [answer.pieces() for answer in self._answers]
        reading = {_next(stream): index for index, stream in enumerate(streams)}
        try:
            while reading:
                done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=reading.__getitem__):
                    found = task.result()
                    index = reading.pop(task)
                    if found is not None:
                        reading[_next(streams[index])] = index
                        yield index, found
        finally:
            await _give_up(reading)


def _next(stream: AsyncIterator[Output]) -> "asyncio.Task[Output | None]":
    """The next piece, `None` behind the last one."""

    async def read() -> Output | None:
        return await anext(stream, None)

    return asyncio.create_task(read())


async def _give_up(tasks: "dict[asyncio.Task[Output | None], int]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
