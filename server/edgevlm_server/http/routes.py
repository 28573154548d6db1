"""The routes of the API: what each takes and answers, and how it is described. Knows HTTP, no model."""

from functools import partial

from fastapi import APIRouter, Request, Response

from edgevlm_server.api import answers, examples
from edgevlm_server.api.ask import AskForm
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.responses import ResponsesRequest
from edgevlm_server.api.strict import Model
from edgevlm_server.api.tokenize import DetokenizeRequest, TokenizeRequest, count
from edgevlm_server.http.access.dependencies import Served, client_of
from edgevlm_server.http.body.read import read_form, read_json
from edgevlm_server.http.generate import generate
from edgevlm_server.http.openapi import BODY, GENERATING, PLAIN, may_answer, takes
from edgevlm_server.prepare import check_model
from edgevlm_server.runtime.work import Deadline
from edgevlm_server.service import Service
from edgevlm_server.version import commit, version

generation = APIRouter(tags=["generation"])
tokens = APIRouter(tags=["tokens"])
"""They run nothing on the engine and take no place; like all others they are refused while every place is taken."""
models = APIRouter(tags=["models"])

EVENTS = {"text/event-stream": "With `stream`: chunks, then [DONE]."}
TYPED_EVENTS = {"text/event-stream": "With `stream`: typed events, `response.completed` last."}


@generation.post(
    "/v1/chat/completions",
    response_model=answers.ChatCompletion,
    responses=may_answer(GENERATING, EVENTS, sure=True),
    openapi_extra=takes(ChatRequest, examples.CHAT),
)
async def chat_completions(request: Request, service: Served) -> Response:
    """Answer a conversation with images, whole or streamed; OpenAI's route."""
    return await generate(request, service, partial(read_json, request, ChatRequest, service.settings.max_body))


@generation.post(
    "/v1/completions",
    response_model=answers.Completion,
    responses=may_answer(GENERATING, EVENTS, sure=True),
    openapi_extra=takes(CompletionRequest, examples.COMPLETION),
)
async def completions(request: Request, service: Served) -> Response:
    """Go on with a text that no template is put around, whole or streamed; OpenAI's older route."""
    return await generate(request, service, partial(read_json, request, CompletionRequest, service.settings.max_body))


@generation.post(
    "/v1/responses",
    response_model=answers.OpenResponse,
    responses=may_answer(GENERATING, TYPED_EVENTS, sure=True),
    openapi_extra=takes(ResponsesRequest, examples.RESPONSES),
)
async def responses(request: Request, service: Served) -> Response:
    """Answer text and images, whole or as typed events; OpenAI's newer route, as far as it needs no memory."""
    return await generate(request, service, partial(read_json, request, ResponsesRequest, service.settings.max_body))


@generation.post(
    "/ask",
    response_model=answers.FormAnswer,
    responses=may_answer(
        (*GENERATING, 422), {"text/plain": "The answer alone, unless `Accept` asks for JSON."}, sure=True
    ),
    openapi_extra=takes(AskForm, {}, "multipart/form-data"),
)
async def ask(request: Request, service: Served) -> Response:
    """Answer a question about files: `curl -F image=@part.jpg -F 'question=Which lamp is on?'`."""
    return await generate(request, service, partial(read_form, request, service.settings.max_body))


@tokens.post("/tokenize", responses=may_answer(BODY), openapi_extra=takes(TokenizeRequest, examples.TOKENIZE))
async def tokenize(request: Request, service: Served) -> answers.Tokenized:
    """Token ids of a text, or of a conversation with its template and its images; vLLM's route.

    Pictures are not looked at: each takes the same number of positions, whatever it shows.
    """
    model = service.loaded().model
    return (await _body(request, service, TokenizeRequest)).answer(model, service.settings.max_images)


@tokens.post("/detokenize", responses=may_answer(BODY), openapi_extra=takes(DetokenizeRequest, examples.DETOKENIZE))
async def detokenize(request: Request, service: Served) -> answers.Detokenized:
    """The text of token ids; vLLM's route. Control tokens stand for no text."""
    model = service.loaded().model
    return (await _body(request, service, DetokenizeRequest)).answer(model)


@tokens.post(
    "/v1/chat/completions/input_tokens",
    responses=may_answer(BODY),
    openapi_extra=takes(ChatRequest, examples.CHAT),
)
async def count_chat(request: Request, service: Served) -> answers.Counted:
    """How many positions a chat request takes as one prompt, images included; llama-server's route.

    JSON from a schema that is filled field by field takes about as many for each field.
    """
    model = service.loaded().model
    asked = await _body(request, service, ChatRequest)
    return count(asked.request(), model, service.settings.max_images)


@tokens.post(
    "/v1/responses/input_tokens",
    responses=may_answer(BODY),
    openapi_extra=takes(ResponsesRequest, examples.RESPONSES),
)
async def count_response(request: Request, service: Served) -> answers.Counted:
    """The same for a request of the responses route; OpenAI's route."""
    model = service.loaded().model
    asked = await _body(request, service, ResponsesRequest)
    return count(asked.request(), model, service.settings.max_images)


@models.get("/v1/models", responses=may_answer(PLAIN))
async def list_models(service: Served) -> answers.ModelList:
    """The one model that is served."""
    return answers.ModelList(data=[_card(service)])


# a name may hold a slash
@models.get("/v1/models/{model:path}", responses=may_answer((*PLAIN, 404)))
async def one_model(model: str, service: Served) -> answers.ModelCard:
    """The model of this name."""
    check_model(model, service.loaded().model)
    return _card(service)


@models.get("/version", responses=may_answer((401,)))
async def program_version() -> answers.Version:
    """The program's version, and the commit it was built from if known; vLLM's route. Answered while loading, too."""
    return answers.Version(version=version(), commit=commit())


async def _body(request: Request, service: Service, model: type[Model]) -> Model:
    read = partial(read_json, request, model, service.settings.max_body)
    deadline = Deadline(service.settings.request_timeout)
    try:
        return await deadline.within(lambda: service.admission.receive(client_of(request).share, read))
    finally:
        deadline.stop()


def _card(service: Service) -> answers.ModelCard:
    model = service.loaded().model
    return answers.ModelCard(
        id=model.manifest.model,
        created=service.started,
        max_model_len=model.engine.info.max_length,
        description=model.about.description,
    )
