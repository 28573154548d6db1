"""`POST /v1/decisions`: questions with a fixed set of answers, and how likely each is. Knows HTTP, no wire shape.

Each way to write each answer is a sequence of its own behind a prompt that they share. A request takes no more slots
at once than its largest question has of them, or than there are; the others wait until these are through.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from edgevlm_engines import Tokens
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from edgevlm_server.api import answers, examples
from edgevlm_server.api.decisions import AnyQuestion, DecisionRequest, answer, confidence, decision, to_score
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.http.access.dependencies import Served
from edgevlm_server.http.body.read import read_json
from edgevlm_server.http.generate import Arrival, Visit, charge, count_request, enter
from edgevlm_server.http.openapi import GENERATING, may_answer, takes
from edgevlm_server.model import Model
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.record import CLIENT_CLOSED_REQUEST, RequestRecord
from edgevlm_server.prepare import Prompt, read_prompt, room_left
from edgevlm_server.request import Client, EncodedImages
from edgevlm_server.runtime import scoring
from edgevlm_server.runtime.output import ClientLeft, Ticket, Usage, when_all_ended
from edgevlm_server.runtime.sequence import Sequence as Scored
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
    """A request that has its places, `slots` of them, and whose pictures are encoded."""

    questions: list[_Weighed]
    images: EncodedImages
    visit: Visit
    slots: int
    record: RequestRecord

    def sequences(self) -> Iterator[Scored]:
        """One for each way; of one question's the first has the number 0."""
        for one in self.questions:
            for number, way in enumerate(one.ways):
                yield scoring.forced(one.prompt, self.images, way, number)

    def body(self, model: Model, metrics: Metrics, scored: Sequence[float], cached: int) -> dict[str, Any]:
        """The answer; `scored` are the logarithms of the ways' probabilities, in their order."""
        left = iter(scored)
        found = [
            answer(one.question, [list(islice(left, len(ways))) for ways in one.answers]) for one in self.questions
        ]
        usage = Usage(
            prompt=sum(len(one.prompt) for one in self.questions),
            cached=cached,
            completion=sum(len(way) for one in self.questions for way in one.ways),
        )
        for one in found:
            metrics.weighed(confidence(one), one["diagnostics"]["label_mass"])
        self.record.counted(usage.prompt, usage.cached, usage.completion)
        self.record.enter("send")
        return decision(model.manifest.model, found, usage)


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
    arrival = Arrival.of(request, service)
    client, record = arrival.client, arrival.record
    record.enter("body")
    with count_request(service), arrival.deadline.begun():
        loaded = service.loaded()
        record.model = loaded.model.manifest.model
        ready = await _accept(arrival, service, loaded)
    wave: list[Ticket] = []
    try:
        body = await ready.visit.work().do(lambda: _score(service, loaded, ready, client, wave))
        return JSONResponse(body, headers=service.admission.limits.headers(client.share))
    except (ClientDisconnect, ClientLeft):
        if not wave:
            service.metrics.rejected.labels("client_left").inc()
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    finally:
        _over(wave, ready.visit)


async def _accept(arrival: Arrival, service: Service, loaded: Loaded) -> _Ready:
    """Read, check and prepare; the caller gives the places back."""
    client, record = arrival.client, arrival.record
    read = partial(read_json, arrival.request, DecisionRequest, service.settings.max_body)
    asked = await arrival.deadline.within(lambda: service.admission.receive(client.share, read))
    record.enter("prepare")
    record.answers = len(asked.questions)
    counts = [sum(map(len, to_score(question).answers)) for question in asked.questions]
    if sum(counts) > MAX_SCORES:
        raise InvalidRequest(
            f"All questions together can have at most {MAX_SCORES} answers; yes and no count twice each.",
            code="invalid_value",
            param="questions",
        )
    slots = min(service.admission.slots, max(counts))
    with enter(arrival, service.admission, slots) as visit:
        prepared = partial(_prepare, service, loaded, asked, arrival)
        questions, images = await service.prepare(visit.work(), prepared)
    return _Ready(questions, images, visit, slots, record)


async def _prepare(
    service: Service, loaded: Loaded, asked: DecisionRequest, arrival: Arrival
) -> tuple[list[_Weighed], EncodedImages]:
    questions = []
    for question in asked.questions:
        weighed, prompt = _weigh(asked, question, loaded.model, service.settings.max_images)
        questions.append(weighed)
        await asyncio.sleep(0)  # many long texts take a while, and others wait for their tokens
    # every question is asked about the same ones
    arrival.record.look_at(len(prompt.pictures))
    return questions, await loaded.pictures.encode(prompt.pictures, arrival.client)


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
    service: Service, loaded: Loaded, ready: _Ready, client: Client, wave: list[Ticket]
) -> dict[str, Any]:
    """Score wave by wave; `wave` always holds the latest one. Raises `ApiError` if the engine fails, `ClientLeft`."""
    sequences = ready.sequences()
    scored: list[float] = []
    cached = 0
    ready.record.enter("queue")
    while some := list(islice(sequences, ready.slots)):
        wave[:] = [loaded.batcher.submit(sequence, client.share) for sequence in some]
        # the first of all was counted when the request came
        service.metrics.received.inc(len(wave) - (not scored))
        service.metrics.accepted.inc(len(wave))
        for ticket in wave:
            scored.append(await scoring.logprob(ticket))
            # the first of all: a stage begins once
            ready.record.enter("score", ticket.sequence.began)
        charge(service, client, some)
        cached += sum(ticket.sequence.reused for ticket in wave if not ticket.sequence.number)
    return ready.body(loaded.model, service.metrics, scored, cached)


def _over(wave: list[Ticket], visit: Visit) -> None:
    """End what still runs, and give the places back once nothing does."""
    visit.watch.stop()
    for ticket in wave:
        ticket.end("cancelled")
    when_all_ended(wave, lambda served: visit.over(served=served))
    if not wave:
        visit.over(served=False)
