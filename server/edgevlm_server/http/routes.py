"""The routes that want text: what each takes, and how its answer is written. Knows HTTP, no model.

Bodies are read by hand: FastAPI would read them before the key is checked, without a limit.
"""

from fastapi import APIRouter, Request, Response

from edgevlm_server.api import examples
from edgevlm_server.api.answer_schema import Asked, ChatCompletion, Completion, OpenResponse
from edgevlm_server.api.ask import AskForm, form_values
from edgevlm_server.api.ask_format import AskFormat, takes_json
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.chat_format import ChatFormat
from edgevlm_server.api.completion_format import CompletionFormat
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.responses import ResponsesRequest
from edgevlm_server.api.responses_format import ResponsesFormat
from edgevlm_server.errors import UnsupportedMediaType
from edgevlm_server.http.auth import Served
from edgevlm_server.http.body import check, read_body, read_model
from edgevlm_server.http.form_body import parse_form
from edgevlm_server.http.generate import Wish, answer_request
from edgevlm_server.http.openapi import GENERATING, answers, takes
from edgevlm_server.prepare import prepare, prepare_text
from edgevlm_server.service import Service

router = APIRouter(tags=["generation"])

EVENTS = {"text/event-stream": "With `stream`: chunks, then [DONE]."}
TYPED_EVENTS = {"text/event-stream": "With `stream`: typed events, `response.completed` last."}


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses=answers(GENERATING, EVENTS),
    openapi_extra=takes(ChatRequest, examples.CHAT),
)
async def chat_completions(request: Request, service: Served) -> Response:
    """Answer a conversation with images, whole or streamed; OpenAI's route."""

    async def read() -> Wish:
        chat = await read_model(request, ChatRequest, service.settings.max_body)
        shape = {
            "include_usage": chat.include_usage,
            "continuous_usage": chat.continuous_usage,
            "logprobs": bool(chat.logprobs),
        }
        return Wish(
            answers=chat.n or 1,
            stream=bool(chat.stream),
            prepare=lambda model: prepare(chat, model, service.settings.max_images),
            form=lambda model: ChatFormat(model.manifest.model, model.tokenizer, **shape),
        )

    return await answer_request(request, service, read)


@router.post(
    "/v1/completions",
    response_model=Completion,
    responses=answers(GENERATING, EVENTS),
    openapi_extra=takes(CompletionRequest, examples.COMPLETION),
)
async def completions(request: Request, service: Served) -> Response:
    """Go on with a text that no template is put around, whole or streamed; OpenAI's older route."""

    async def read() -> Wish:
        asked = await read_model(request, CompletionRequest, service.settings.max_body)
        return Wish(
            answers=asked.n or 1,
            stream=bool(asked.stream),
            prepare=lambda model: prepare_text(asked, model),
            form=lambda model: CompletionFormat(asked, model.manifest.model, model.tokenizer),
            keep_space=True,
        )

    return await answer_request(request, service, read)


@router.post(
    "/v1/responses",
    response_model=OpenResponse,
    responses=answers(GENERATING, TYPED_EVENTS),
    openapi_extra=takes(ResponsesRequest, examples.RESPONSES),
)
async def responses(request: Request, service: Served) -> Response:
    """Answer text and images, whole or as typed events; OpenAI's newer route, as far as it needs no memory."""

    async def read() -> Wish:
        asked = await read_model(request, ResponsesRequest, service.settings.max_body)
        chat, places, kept = asked.chat(), asked.places, asked.without_input()
        return Wish(
            answers=1,
            stream=bool(asked.stream),
            prepare=lambda model: prepare(chat, model, service.settings.max_images, places),
            form=lambda model: ResponsesFormat(kept, model.manifest.model, model.tokenizer),
        )

    return await answer_request(request, service, read)


@router.post(
    "/ask",
    response_model=Asked,
    responses=answers(GENERATING, {"text/plain": "The answer alone, unless `Accept` asks for JSON."}),
    openapi_extra=takes(AskForm, {}, "multipart/form-data"),
)
async def ask(request: Request, service: Served) -> Response:
    """Answer a question about files: `curl -F image=@part.jpg -F 'question=Which lamp is on?'`."""

    async def read() -> Wish:
        form = await _form(request, service)
        chat, places = form.chat(), form.places
        as_json = takes_json(request.headers.get("accept", ""))
        return Wish(
            answers=1,
            stream=False,
            prepare=lambda model: prepare(chat, model, service.settings.max_images, places),
            form=lambda model: AskFormat(model.manifest.model, as_json=as_json),
        )

    return await answer_request(request, service, read)


async def _form(request: Request, service: Service) -> AskForm:
    """Read, split and check a form. Raises `ApiError`."""
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "multipart/form-data":
        raise UnsupportedMediaType(
            "The body must be a form: curl sends one for each -F, as in -F image=@part.jpg -F 'question=...'.",
            code="unsupported_media_type",
        )
    body = await read_body(request, service.settings.max_body)
    return check(AskForm, form_values(parse_form(body, content_type)))
