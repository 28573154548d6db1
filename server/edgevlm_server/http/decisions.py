"""`POST /v1/decisions`: questions with a fixed set of answers, and how likely each is. Knows HTTP, no wire shape.

Each way to write each answer is a sequence of its own behind a prompt that they share. A request takes no more slots
at once than its largest question has of them, or than there are.
"""

import asyncio
from collections import abc
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from edgevlm_engines import Tokens
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from edgevlm_server.api import answers, examples
from edgevlm_server.api.decisions import AnyQuestion, DecisionRequest, answer, decision, to_score
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.http.access.dependencies import Served
from edgevlm_server.http.audited import note_questions
from edgevlm_server.http.body.read import read_json
from edgevlm_server.http.openapi import GENERATING, may_answer, takes
from edgevlm_server.http.visit import Arrival, Visit, begun, enter
from edgevlm_server.http.waves import Waves
from edgevlm_server.model import Model
from edgevlm_server.observe.record import CLIENT_CLOSED_REQUEST, RequestRecord
from edgevlm_server.prepare import Prompt, read_prompt, room_left
from edgevlm_server.request import EncodedImages
from edgevlm_server.runtime import scoring
from edgevlm_server.runtime.output import ClientLeft
from edgevlm_server.runtime.sequence import Sequence
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


class _Ready(NamedTuple):
    """A request whose pictures are encoded."""

    questions: list[_Weighed]
    images: EncodedImages

    def sequences(self) -> Iterator[Sequence]:
        """One for each way; of one question's the first has the number 0."""
        for one in self.questions:
            for number, way in enumerate(one.ways):
                yield scoring.forced(one.prompt, self.images, way, number)

    def answers(self, scored: abc.Sequence[scoring.Likelihood]) -> list[dict[str, Any]]:
        """To each question; `scored` are the ways', in their order."""
        left = iter(scored)
        return [
            answer(one.question, [list(islice(left, len(ways))) for ways in one.answers]) for one in self.questions
        ]


@router.post(
    "/v1/decisions",
    response_model=answers.Decision,
    responses=may_answer(GENERATING),
    openapi_extra=takes(DecisionRequest, examples.DECISIONS),
)
async def decisions(request: Request, service: Served) -> Response:
    """How likely each of some given answers is, beside the others: yes or no, pick one, how much; OpenAI's route.

    Nothing is generated. The model sees the input and, behind it, the question's instructions as they are.
    """
    with begun(request, service) as (arrival, loaded, count):
        ready, visit = await _accept(arrival, service, loaded)
        # nothing is awaited before its first wave is queued, so it is either rejected or accepted
        arrival.record.enter("queue")
        waves = Waves(service, loaded.batcher, arrival.client, visit, ready.sequences())
        count.answers = len(waves.tickets)
    try:
        body = await _score(service, loaded, arrival.record, ready, waves)
        return JSONResponse(body, headers=service.admission.limits.headers(arrival.client.share))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    finally:
        waves.end()


async def _accept(arrival: Arrival, service: Service, loaded: Loaded) -> tuple[_Ready, Visit]:
    """Read, check and prepare; the caller gives the places back."""
    client, record = arrival.client, arrival.record
    read = partial(read_json, arrival.request, DecisionRequest, service.settings.max_body)
    asked = await arrival.deadline.within(lambda: service.admission.receive(client.share, read))
    record.enter("prepare")
    record.answers = len(asked.questions)
    if record.exchange is not None:
        note_questions(record.exchange, asked)
    counts = [sum(map(len, to_score(question).answers)) for question in asked.questions]
    if sum(counts) > MAX_SCORES:
        raise InvalidRequest(
            f"All questions together can have at most {MAX_SCORES} answers; yes and no count twice each.",
            code="invalid_value",
            param="questions",
        )
    with enter(arrival, service.admission, min(service.admission.slots, max(counts))) as visit:
        prepared = partial(_prepare, service, loaded, asked, arrival)
        return await service.prepare(visit.work(), prepared), visit


async def _prepare(service: Service, loaded: Loaded, asked: DecisionRequest, arrival: Arrival) -> _Ready:
    questions = []
    for question in asked.questions:
        weighed, prompt = _weigh(asked, question, loaded.model, service.settings.max_images)
        questions.append(weighed)
        await asyncio.sleep(0)  # many long texts take a while, and others wait for their tokens
    # every question is asked about the same ones
    arrival.record.look_at(len(prompt.pictures))
    return _Ready(questions, await loaded.pictures.encode(prompt.pictures, arrival.client, arrival.record.look))


def _weigh(asked: DecisionRequest, question: AnyQuestion, model: Model, max_images: int) -> tuple[_Weighed, Prompt]:
    """Raises `ApiError` for what no template can hold, and for too much of it."""
    what = to_score(question)
    prompt = read_prompt(asked.request(what.text), model, max_images)
    end = model.manifest.prompt.eos_id
    ways = [[[*model.tokenizer.encode(way, space_prefix=True), end] for way in one] for one in what.answers]
    longest = max(len(way) for one in ways for way in one)
    room_left(longest, len(prompt.ids), model, "input")
    return _Weighed(question, np.array(prompt.ids, np.int64), ways), prompt


async def _score(
    service: Service, loaded: Loaded, record: RequestRecord, ready: _Ready, waves: Waves
) -> dict[str, Any]:
    """Score wave by wave. Raises `ApiError` if the engine fails, `ClientLeft`."""
    try:
        scored = [await scoring.likelihood(ticket) async for ticket in waves.each()]
    finally:
        usage = waves.usage
        record.counted(*usage)
        if (began := waves.begun[0].began) is not None:
            record.enter("score", began)
    found = ready.answers(scored)
    for one in found:
        service.metrics.answers.weighed(one["confidence"], one["diagnostics"]["label_mass"])
    record.judged(min(one["confidence"] for one in found))
    if record.exchange is not None:
        record.exchange.decided = found
    record.enter("send")
    return decision(loaded.model.manifest.model, found, usage)
