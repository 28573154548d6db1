"""How an exchange learns what was asked and answered; none of it runs where no audit is kept. Knows no files."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from edgevlm_server.api.decisions import DecisionRequest, to_score
from edgevlm_server.model import Model
from edgevlm_server.observe.exchange import Exchange
from edgevlm_server.refusals import Refused
from edgevlm_server.request import Request
from edgevlm_server.runtime.output import Choices, Output, Usage


def note_question(exchange: Exchange, asked: Request, model: Model) -> None:
    """The texts of a conversation, or of a prompt alone; of one that comes as tokens, what they stand for."""
    if asked.prompt is None:
        exchange.asked(asked.texts_of("user"), asked.texts_of("system"))
    elif isinstance(asked.prompt, str):
        exchange.asked(asked.prompt)
    else:
        size = model.tokenizer.vocab_size
        known = (model.tokenizer.bytes_of(token) for token in asked.prompt if token < size)
        exchange.asked(b"".join(known).decode(errors="replace"))


def note_questions(exchange: Exchange, asked: DecisionRequest) -> None:
    """What is to be decided, behind what is asked of all."""
    first, *others = (to_score(question).text for question in asked.questions)
    request = asked.request(first)
    exchange.asked("\n".join((request.texts_of("user"), *others)), request.texts_of("system"))


class Overheard(Choices):
    """The same answers, and an exchange hears of each piece."""

    def __init__(self, choices: Choices, exchange: Exchange) -> None:
        self._choices = choices
        self._exchange = exchange

    def __len__(self) -> int:
        return len(self._choices)

    @property
    def usage(self) -> Usage:
        return self._choices.usage

    @property
    def refused(self) -> Refused | None:
        return self._choices.refused

    def sureness(self, index: int) -> float:
        return self._choices.sureness(index)

    async def pieces(self) -> AsyncGenerator[tuple[int, Output], None]:
        async with aclosing(self._choices.pieces()) as pieces:
            async for index, piece in pieces:
                text, sure = piece.text or piece.withheld, self.sureness(index)
                self._exchange.heard(index, text, piece.finish_reason, sure, piece.refused)
                yield index, piece
