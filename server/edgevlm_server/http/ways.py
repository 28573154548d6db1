"""How a request is answered, in one piece or filled field by field. Knows no route and no wire shape."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from edgevlm_server.filled.answers import FilledChoices
from edgevlm_server.filled.asks import Reader, asks, fill_of
from edgevlm_server.http.visit import Arrival
from edgevlm_server.http.waves import Waves
from edgevlm_server.prepare import check_biases, prepare
from edgevlm_server.readings.asking import Ask, Asking
from edgevlm_server.refusals import Judge
from edgevlm_server.request import Fill, Request
from edgevlm_server.runtime.output import Answer, Choices, SideBySide
from edgevlm_server.runtime.sequence import Sequence, Ticket
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text.detokenizer import Detokenizer


class Way(NamedTuple):
    """The sequences that a request takes, and the answers that are made of them."""

    sequences: int
    prepare: Callable[[], Awaitable[list[Sequence]]]
    """Raises `ApiError` for what cannot be served."""
    choices: Callable[[Waves], Choices]


def way_of(wanted: Request, arrival: Arrival, service: Service, loaded: Loaded) -> Way:
    """Raises `InvalidRequest` for what the way that it goes has no place for."""
    asked = wanted.generation.fill
    fill = asked and fill_of(wanted, asked, writes_json=loaded.model.about.writes_json)
    least = wanted.generation.min_confidence
    judge = Judge(loaded.model.about.refusal.text, service.settings.min_confidence if least is None else least)
    if fill is not None:
        return _filled(wanted, fill, judge, Asking(service, loaded, arrival.client, arrival.record))
    return Way(
        wanted.generation.choices,
        partial(_in_one_piece, wanted, arrival, service, loaded),
        partial(_side_by_side, wanted, arrival, service, loaded, judge),
    )


async def _in_one_piece(wanted: Request, arrival: Arrival, service: Service, loaded: Loaded) -> list[Sequence]:
    ready = prepare(wanted, loaded.model, service.settings.max_images)
    structure = wanted.generation.structure
    constraint = None if structure is None else await loaded.grammars.compile(structure, arrival.client.share)
    arrival.record.look_at(len(ready.pictures))
    images = await loaded.pictures.encode(ready.pictures, arrival.client, arrival.record.look)
    return ready.sequences(images, constraint)


def _side_by_side(
    wanted: Request, arrival: Arrival, service: Service, loaded: Loaded, judge: Judge, waves: Waves
) -> Choices:
    generation, tokenizer = wanted.generation, loaded.model.tokenizer

    def answer(ticket: Ticket) -> Answer:
        # every form lets an answer begin with a space that is no part of it
        keep_space = generation.keep_space and generation.structure is None
        text = Detokenizer(tokenizer, generation.stop, generation.min_tokens, keep_space=keep_space)
        return Answer(ticket, tokenizer, text, judge, service.metrics, arrival.record.arrived)

    return SideBySide([answer(ticket) for ticket in waves.tickets])


def _filled(wanted: Request, fill: Fill, judge: Judge, asking: Asking) -> Way:
    generation = wanted.generation
    asked = asks(wanted, fill, Reader(asking.refusal, asking.loaded.model.about.writes_json), judge.least)

    async def prepared() -> list[Sequence]:
        check_biases(generation.sampling, asking.loaded.model)
        return await asking.prepare(asked, wanted.model, generation)

    return Way(len(asked) * generation.choices, prepared, partial(_choices, wanted, fill, judge, asking, asked))


def _choices(
    wanted: Request, fill: Fill, judge: Judge, asking: Asking, asked: list[Ask], waves: Waves
) -> FilledChoices:
    generation = wanted.generation
    fields = [one.field for one in asked] * generation.choices
    return FilledChoices(
        fill,
        generation.choices,
        asking.readings(waves.each(), fields),
        lambda: waves.usage,
        judge.refusal,
        stop=generation.stop,
        logprobs=generation.logprobs is not None,
    )
