"""A request for JSON becomes a question a leaf, in the request's own conversation. Knows no HTTP, no tokens."""

from dataclasses import dataclass, replace

from edgevlm_server.errors import InvalidRequest
from edgevlm_server.filled.fields import field
from edgevlm_server.filled.questions import alone, questions
from edgevlm_server.filled.tree import Leaf, leaves
from edgevlm_server.readings.asking import Ask
from edgevlm_server.readings.field import Refusal
from edgevlm_server.request import Fill, Picture, Request, Turn


@dataclass(frozen=True, slots=True)
class Reader:
    """What a model is like: how it refuses, and whether it can make use of more than the question."""

    refusal: Refusal
    writes_json: bool


def fill_of(request: Request, fill: Fill, *, writes_json: bool) -> Fill | None:
    """`None` if the model writes the answer as a whole after all. Raises `InvalidRequest`."""
    shows = any(isinstance(part, Picture) for turn in request.turns for part in turn.parts)
    # a prompt without a template has no place for questions
    can_be = shows if fill.always else not writes_json and request.prompt is None
    if can_be:
        _check(request)
        return fill
    if fill.demanded is not None:
        raise InvalidRequest(
            f"{fill.demanded}: Only an answer about a picture can be filled field by field.",
            code="invalid_value",
            param=fill.demanded,
        )
    return None


def asks(request: Request, fill: Fill, reader: Reader, min_confidence: float | None) -> list[Ask]:
    """In the order of the text that is written of them."""
    given = questions([*leaves(fill.root)])
    return [
        Ask(
            field(leaf, question or alone(leaf), min_confidence),
            _turns(request.turns, leaf, question, reader),
            request.place,
            fill.place,
        )
        for leaf, question in given.items()
    ]


def _check(request: Request) -> None:
    """Raises `InvalidRequest` for what only an answer in one piece can follow."""
    generation = request.generation
    for given, param in ((generation.min_tokens, "min_tokens"), (generation.ignore_eos, "ignore_eos")):
        if given:
            raise InvalidRequest(
                f"{param}: An answer that is filled field by field ends with its fields; "
                'with "fill": false beside the schema the model writes all of it.',
                code="invalid_value",
                param=param,
            )


def _turns(turns: tuple[Turn, ...], leaf: Leaf, question: str | None, reader: Reader) -> tuple[Turn, ...]:
    """The conversation with a question at its end; what the user says stays where the model can make use of it."""
    *before, last = turns or (Turn("user", ()),)
    parts = last.parts
    spoken = any(isinstance(part, str) and part.strip() for part in parts)
    if question is None and not spoken:
        question = alone(leaf)
    if question is not None and not reader.writes_json:
        parts = tuple(part for part in parts if isinstance(part, Picture))
    behind = (question, reader.refusal.instruction)
    return (*before, replace(last, parts=(*parts, *filter(None, behind))))
