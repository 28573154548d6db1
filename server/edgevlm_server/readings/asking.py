"""Fields become sequences behind the pictures that they share, and answers become readings. Knows no HTTP.

The pictures stand in front of every question, so all but the first field find them in the prefix cache.
"""

import asyncio
from collections import abc
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

import numpy as np
from edgevlm_engines import Tokens

from edgevlm_server.errors import InvalidRequest
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.guided.grammar import GrammarError
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.prepare import read_prompt, room_left
from edgevlm_server.readings.field import Field, Heard, Reading, Refusal, grammar, read
from edgevlm_server.refusals import Judge
from edgevlm_server.request import Client, EncodedImages, Generation, Picture, Request, Structure, Turn
from edgevlm_server.runtime.output import Answer, joined
from edgevlm_server.runtime.sequence import Sequence, Ticket
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text.detokenizer import Detokenizer

USUAL = Generation()

MOST_VIEWS = 32
"""Pictures, and parts of pictures, that all fields of a request look at together."""


class Ask(NamedTuple):
    """A field and the conversation whose last words are its question. `place` is where it stands in the request.

    A picture that several fields are asked about must be the same object in all of them. `form` is where the form of
    the answer stands, if that is elsewhere.
    """

    field: Field
    turns: tuple[Turn, ...]
    place: str
    form: str | None = None


class _Prompt(NamedTuple):
    ids: Tokens
    pictures: list[Picture]
    constraint: Constraint


class Asking(NamedTuple):
    """Who asks, and what answers."""

    service: Service
    loaded: Loaded
    client: Client
    record: RequestRecord

    @property
    def refusal(self) -> Refusal:
        """How the model says that it cannot tell."""
        words = self.loaded.model.about.refusal
        return Refusal(words.text, words.instruction)

    def about(self, field: Field, pictures: abc.Sequence[Picture], place: str) -> Ask:
        """A field's question about pictures and nothing else."""
        return Ask(field, (Turn("user", (*pictures, self.refusal.behind(field.question)), place),), place)

    async def prepare(
        self, asks: abc.Sequence[Ask], model: str | None, generation: Generation = USUAL
    ) -> list[Sequence]:
        """A sequence for each, ready to be queued; `model` is the name that the client asked for, if any.

        Where several answers are wanted, all sequences of the first come first. Prompts and grammars are made first,
        then each picture is encoded once. Raises `ApiError`.
        """
        prompts = [await self._prompt(one, model) for one in asks]
        views = {id(picture): picture for prompt in prompts for picture in prompt.pictures}
        if len(views) > MOST_VIEWS:
            raise InvalidRequest(
                f"All fields together can look at {MOST_VIEWS} pictures and parts of pictures at most.",
                code="too_many_images",
            )
        self.record.look_at(len(views))
        encoded = await self.loaded.pictures.encode([*views.values()], self.client, self.record.look)
        numbers = {key: number for number, key in enumerate(views)}
        shown = [tuple(numbers[id(picture)] for picture in prompt.pictures) for prompt in prompts]
        # fields that look at the same share its features
        parts = {one: _part(encoded, one) for one in {*shown}}
        return [
            self._sequence(one.field, prompt, parts[seen], generation, number)
            for number in range(generation.choices)
            for one, prompt, seen in zip(asks, prompts, shown, strict=True)
        ]

    async def readings(self, tickets: AsyncIterator[Ticket], fields: Iterable[Field]) -> AsyncIterator[Reading]:
        """One after the other, as they are whole. Raises `ApiError` if the engine fails, `ClientLeft`."""
        left = iter(fields)
        async for ticket in tickets:
            reading = read(next(left), await self._heard(ticket), self.refusal)
            if reading.reason == "low_confidence":
                self.service.metrics.answers.refused("low_confidence")
            yield reading

    async def _prompt(self, one: Ask, model: str | None) -> _Prompt:
        request = Request(place=one.place, model=model, turns=one.turns)
        ids, pictures = read_prompt(request, self.loaded.model, self.service.settings.max_images)
        room_left(1, len(ids), self.loaded.model, one.place)
        constraint = await self.loaded.grammars.compile(_structure(one, self.refusal), self.client.share)
        await asyncio.sleep(0)  # many long texts take a while, and others wait for their tokens
        return _Prompt(np.array(ids, np.int64), pictures, constraint)

    def _sequence(
        self, field: Field, prompt: _Prompt, images: EncodedImages, generation: Generation, number: int
    ) -> Sequence:
        manifest, room = self.loaded.model.manifest, self.loaded.model.engine.info.max_length - len(prompt.ids)
        # a token stands for a byte at least; then there are the first space and the end
        longest = max(field.kind.longest, len(self.refusal.text.encode())) + 2
        return Sequence(
            prompt.ids,
            images.features,
            min(longest, room, generation.max_tokens or room),
            frozenset(manifest.prompt.stop_ids),
            generation.sampling,
            images=images.files,
            constraint=prompt.constraint.fresh(),
            number=number,
        )

    async def _heard(self, ticket: Ticket) -> Heard:
        tokenizer, metrics = self.loaded.model.tokenizer, self.service.metrics
        # whether it is sure enough is the reading's to say: that knows whether it is whole
        judge = Judge(self.refusal.text)
        arrived = self.record.arrived if ticket.since is None else ticket.since
        answer = Answer(ticket, tokenizer, Detokenizer(tokenizer), judge, metrics, arrived)
        whole = joined([piece async for piece in answer.pieces()])
        return Heard(whole.text, whole.finish_reason == "stop", answer.confidence)


def _structure(one: Ask, refusal: Refusal) -> Structure:
    place = one.form or one.place
    try:
        # small as it may be, each is tried: a pattern is the client's, and what a trial finds is less than a guess
        return Structure(grammar(one.field, refusal), place, risky=True)
    except GrammarError as error:
        raise InvalidRequest(f"{place}: {error}", code=error.code, param=place) from None


def _part(encoded: EncodedImages, numbers: abc.Sequence[int]) -> EncodedImages:
    """Some of the pictures, in this order."""
    if [*numbers] == [*range(len(encoded.files))]:
        return encoded
    width = encoded.features.shape[-1]
    each = encoded.features.reshape(len(encoded.files), -1, width)[np.array(numbers, np.intp)]
    return EncodedImages(each.reshape(-1, width), tuple(encoded.files[number] for number in numbers))
