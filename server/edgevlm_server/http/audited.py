"""How an exchange learns what was asked and answered; none of it runs where no audit is kept. Knows no files."""

from edgevlm_server.api.decisions import DecisionRequest, to_score
from edgevlm_server.model import Model
from edgevlm_server.observe.exchange import Exchange, Said
from edgevlm_server.request import Request
from edgevlm_server.runtime.output import Choices


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


def note_answers(exchange: Exchange, choices: Choices) -> None:
    """What they have come to, also what no client gets."""
    for index, one in choices.so_far().items():
        text, sure = one.text or one.withheld, choices.sureness(index)
        exchange.said[index] = Said(text, one.finish_reason, sure, one.refused)
