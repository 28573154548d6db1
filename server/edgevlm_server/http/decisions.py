"""`POST /v1/decisions`: questions with a fixed set of answers, and how likely each is. Knows HTTP, no wire shape.

Each way to write each answer is a sequence of its own behind a prompt that they share. A request takes no more slots
at once than its largest question has of them, or than there are; the others wait until these are through.
"""

import asyncio
from collections import abc
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from edgevlm_engines import Tokens
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from edgevlm_server.api import examples
from edgevlm_server.api.answer_schema import Decision
from edgevlm_server.api.decision_format import Usage, answer, asked, decision
from edgevlm_server.api.decisions import AnyQuestion, DecisionRequest
from edgevlm_server.api.input_items import places_of
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.http.auth import Served, client_of
from edgevlm_server.http.body import read_model
from edgevlm_server.http.disconnect import DisconnectWatch
from edgevlm_server.http.generate import CLIENT_CLOSED_REQUEST, count_request, see, unless_left
from edgevlm_server.http.openapi import GENERATING, answers, takes
from edgevlm_server.model import Model
from edgevlm_server.prepare import check_model, read_conversation, token_limit
from edgevlm_server.request import EncodedImages, Picture
from edgevlm_server.runtime.admission import Place
from edgevlm_server.runtime.scoring import Cancelled, forced, logprob
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.runtime.ticket import Ticket, when_all_ended
from edgevlm_server.service import Loaded, Service

MAX_SCORES = 256
"""Ways to write answers in one request, over all its questions."""

router = APIRouter(tags=["generation"])


class _Weighed(NamedTuple):
    """A question's prompt, and the token ids of each way to write each of its answers."""

    question: AnyQuestion
    prompt: Tokens
    answers: list[list[list[int]]]

    @property
    def ways(self) -> list[list[int]]:
        return [way for one in self.answers for way in one]


class _Accepted(NamedTuple):
    """A request that has its places, `slots` of them, and whose pictures are encoded."""

    questions: list[_Weighed]
    seen: EncodedImages
    place: Place
    watch: DisconnectWatch
    slots: int


@router.post(
    "/v1/decisions",
    response_model=Decision,
    responses=answers(GENERATING),
    openapi_extra=takes(DecisionRequest, examples.DECISIONS),
)
async def decisions(request: Request, service: Served) -> Response:
    """How likely each of some given answers is, beside the others: yes or no, pick one, how much; OpenAI's route.

    Nothing is generated. The model sees the input and, behind it, the question's instructions as they are.
    """
    accepted = await count_request(service, lambda loaded: _accept(request, service, loaded))
    if accepted is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    loaded, ready = accepted
    wave: list[Ticket] = []
    try:
        return JSONResponse(await unless_left(ready.watch, _answer(service, loaded, ready, wave)))
    except (ClientDisconnect, Cancelled):
        if not wave:
            service.metrics.rejected.labels("client_left").inc()
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    finally:
        ready.watch.stop()
        _over(wave, ready.place)


async def _accept(request: Request, service: Service, loaded: Loaded) -> _Accepted:
    """Read, check and prepare; the caller gives the places back."""
    wanted = await service.admission.receive(lambda: read_model(request, DecisionRequest, service.settings.max_body))
    check_model(wanted.model, loaded.model)
    counts = [sum(map(len, asked(question).answers)) for question in wanted.questions]
    if sum(counts) > MAX_SCORES:
        raise InvalidRequest(
            f"All questions together can have at most {MAX_SCORES} answers; a yes and a no count twice each.",
            code="invalid_value",
            param="questions",
        )
    slots = min(service.admission.slots, max(counts))
    place = service.admission.enter(slots)
    watch = DisconnectWatch(request)
    try:
        questions, seen = await unless_left(watch, _prepare(service, loaded, wanted, client_of(request)))
    except BaseException:
        watch.stop()
        place.leave(served=False)
        raise
    return _Accepted(questions, seen, place, watch, slots)


async def _prepare(
    service: Service, loaded: Loaded, wanted: DecisionRequest, client: str | None
) -> tuple[list[_Weighed], EncodedImages]:
    questions, pictures = [], list[Picture]()
    for question in wanted.questions:
        weighed, pictures = _weigh(wanted, question, loaded.model, service.settings.max_images)
        questions.append(weighed)
        await asyncio.sleep(0)  # many long texts take a while, and others wait for their tokens
    return questions, await see(service, loaded, pictures, client)


def _weigh(
    wanted: DecisionRequest, question: AnyQuestion, model: Model, max_images: int
) -> tuple[_Weighed, list[Picture]]:
    """Raises `ApiError` for what no template can hold, and for too much of it."""
    what = asked(question)
    ids, pictures = read_conversation(wanted.messages(what.text), model, max_images, places_of(wanted.input))
    end = model.manifest.prompt.eos_id
    ways = [[[*model.tokenizer.encode(way, space_prefix=True), end] for way in one] for one in what.answers]
    longest = max(len(way) for one in ways for way in one)
    token_limit(longest, len(ids), model.engine.info.max_length, "input")
    return _Weighed(question, np.array(ids, np.int64), ways), pictures


async def _answer(service: Service, loaded: Loaded, accepted: _Accepted, wave: list[Ticket]) -> dict[str, Any]:
    """Score wave by wave; `wave` always holds the latest one. Raises `ApiError` if the engine fails, `Cancelled`."""
    slots = _slots(accepted)
    scored: list[float] = []
    cached = 0
    while sequences := list(islice(slots, accepted.slots)):
        wave[:] = [loaded.batcher.submit(sequence) for sequence in sequences]
        # the first of all was counted when the request came
        service.metrics.received.inc(len(wave) - (not scored))
        service.metrics.accepted.inc(len(wave))
        scored += [await logprob(ticket) for ticket in wave]
        cached += sum(ticket.sequence.reused for ticket in wave if not ticket.sequence.number)
    return _body(loaded.model, accepted.questions, scored, cached)


def _over(wave: list[Ticket], place: Place) -> None:
    """End what still runs, and give the places back once nothing does."""
    for ticket in wave:
        ticket.end("cancelled")
    when_all_ended(wave, lambda served: place.leave(served=served))
    if not wave:
        place.leave(served=False)


def _slots(accepted: _Accepted) -> Iterator[Sequence]:
    """A sequence for each way; of one question's the first has the number 0."""
    for one in accepted.questions:
        for number, way in enumerate(one.ways):
            yield forced(one.prompt, accepted.seen, way, number)


def _body(
    model: Model, questions: abc.Sequence[_Weighed], scored: abc.Sequence[float], cached: int
) -> dict[str, Any]:
    left = iter(scored)
    found = [answer(one.question, [list(islice(left, len(ways))) for ways in one.answers]) for one in questions]
    usage = Usage(
        prompt=sum(len(one.prompt) for one in questions),
        cached=cached,
        scored=sum(len(way) for one in questions for way in one.ways),
    )
    return decision(model.manifest.model, found, usage)
