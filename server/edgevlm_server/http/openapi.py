"""The description of the API, beside what FastAPI finds out itself: bodies, examples, errors, keys. Knows no model.

Bodies are read by hand, after the key is checked and with a limit, so FastAPI does not see them; each route says
here what it takes and which errors its clients may get.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, get_args

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edgevlm_server.api.answers import ErrorAnswer
from edgevlm_server.refusals import Refused

REFERENCE = "#/components/schemas/{model}"

ERRORS = {
    400: "The request cannot be served as it is; `param` names the place.",
    401: "No API key was sent, or one that is not known.",
    404: "There is no such model, or a picture that was named is not kept any more.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "The answer is less sure than the request asks for; `x-confidence` says how sure it is.",
    429: "The queue is full, or this client has reached a limit; `retry-after` says when to come again, in seconds.",
    500: "The engine failed on this request.",
    502: "The camera of the station gave no picture that can be read; `code` says why.",
    503: "The model is loading, the server is shutting down or its engine is dead; see `retry-after`.",
    504: "The answer was not complete within the time that the server allows a request.",
}

PLAIN = (401, 503)
"""Errors of a route that takes no body."""

BODY = (400, *PLAIN, 404, 408, 413, 415, 429, 504)
"""Errors of a route that takes one."""

GENERATING = (*BODY, 500)
"""Errors of a route that runs the engine."""

_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}

_REQUEST_ID = {"x-request-id": {"description": "Also in the server's log.", "schema": {"type": "string"}}}
_RETRY = {"retry-after": {"description": "Seconds, 1 to 60.", "schema": {"type": "integer"}}}

_SURE = {
    "x-confidence": {
        "description": "How sure the model is of the answer, 0 to 1; not of several answers, nor with `stream`.",
        "schema": {"type": "number"},
    },
    "x-refused": {
        "description": "Why the answer is none; absent if it is one.",
        "schema": {"enum": list(get_args(Refused))},
    },
}

Answers = dict[int | str, dict[str, Any]]


def may_answer(errors: tuple[int, ...], others: Mapping[str, str] | None = None, *, sure: bool = False) -> Answers:
    """What a route may answer: these errors, and beside JSON `others`, media types with what they hold.

    `sure`: its head says how sure a single answer is.
    """
    made: Answers = {status: {"model": ErrorAnswer, "description": ERRORS[status]} for status in sorted(errors)}
    made[200] = {"description": "The answer."}
    for status in (200, 422) if sure else ():
        if status in made:
            made[status]["headers"] = _SURE
    if others:
        made[200]["content"] = {media_type: {"schema": {"description": text}} for media_type, text in others.items()}
    return made


def takes(
    model: type[BaseModel],
    examples: Mapping[str, Any],
    media_type: str = "application/json",
    form: type[BaseModel] | None = None,
) -> dict[str, Any]:
    """The description of a body: its model, and examples by what they show; `form` is what may come in its place."""
    content: dict[str, Any] = {media_type: _schema(model)}
    if examples:
        content[media_type]["examples"] = {name: {"value": value} for name, value in examples.items()}
    if form is not None:
        content["multipart/form-data"] = _schema(form)
    return {"requestBody": {"required": True, "content": content}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}


def describe(app: FastAPI, bodies: Sequence[type[BaseModel]], *, keyed: bool, root_path: str = "") -> dict[str, Any]:
    """The whole document; `bodies` are the models that its routes take, `keyed` says whether the server has keys."""
    document: dict[str, Any] = deepcopy(app.openapi())
    if root_path:
        document["servers"] = [{"url": root_path}]
    schemas = document["components"]["schemas"]
    for path in document["paths"].values():
        for operation in path.values():
            _finish(operation, keyed)
    _, made = models_json_schema([(body, "validation") for body in bodies], ref_template=REFERENCE)
    schemas.update(made.get("$defs", {}))
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    if keyed:
        document["components"]["securitySchemes"] = _KEYS
    return document


def _finish(operation: dict[str, Any], keyed: bool) -> None:
    """What is the same on every route."""
    found = operation["responses"]
    if not keyed:
        found.pop("401", None)
    if found.get("422", {}).get("description") != ERRORS[422]:
        found.pop("422", None)  # FastAPI's own refusal, which no route gives
    for status, answer in found.items():
        own = answer.get("headers", {})
        answer["headers"] = {**own, **_REQUEST_ID, **(_RETRY if status in ("429", "503") else {})}
    if "401" in found:
        operation["security"] = [{name: []} for name in _KEYS]
