"""The routes about tokens: what a text or a conversation becomes, and what a picture costs. Knows HTTP, no model.

They run nothing on the engine and take no place in the queue; their bodies are bounded as all are.
"""

from fastapi import APIRouter, Request

from edgevlm_server.api import examples
from edgevlm_server.api.answer_schema import Counted, Detokenized, Tokenized
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.responses import ResponsesRequest
from edgevlm_server.api.tokenize import DetokenizeRequest, TokenizeRequest
from edgevlm_server.api.tokens import count, detokenize, tokenize
from edgevlm_server.http.auth import Served
from edgevlm_server.http.body import Model, read_model
from edgevlm_server.http.openapi import BODY, answers, takes
from edgevlm_server.prepare import chat_places
from edgevlm_server.service import Service

router = APIRouter(tags=["tokens"])


@router.post("/tokenize", responses=answers(BODY), openapi_extra=takes(TokenizeRequest, examples.TOKENIZE))
async def tokenize_text(request: Request, service: Served) -> Tokenized:
    """Token ids of a text, or of a conversation with its template and its images; vLLM's route.

    Pictures are not looked at: each takes the same number of positions, whatever it shows.
    """
    model = service.loaded().model
    return tokenize(await _body(request, service, TokenizeRequest), model, service.settings.max_images)


@router.post("/detokenize", responses=answers(BODY), openapi_extra=takes(DetokenizeRequest, examples.DETOKENIZE))
async def detokenize_ids(request: Request, service: Served) -> Detokenized:
    """The text of token ids; vLLM's route. Control tokens stand for no text."""
    model = service.loaded().model
    return detokenize(await _body(request, service, DetokenizeRequest), model)


@router.post(
    "/v1/chat/completions/input_tokens",
    responses=answers(BODY),
    openapi_extra=takes(ChatRequest, examples.CHAT),
)
async def count_chat(request: Request, service: Served) -> Counted:
    """How many positions a chat request's prompt takes, images included; llama-server's route."""
    model = service.loaded().model
    chat = await _body(request, service, ChatRequest)
    return count(chat, model, service.settings.max_images, chat_places(chat.messages))


@router.post(
    "/v1/responses/input_tokens",
    responses=answers(BODY),
    openapi_extra=takes(ResponsesRequest, examples.RESPONSES),
)
async def count_response(request: Request, service: Served) -> Counted:
    """The same for a request of the responses route; OpenAI's route."""
    model = service.loaded().model
    asked = await _body(request, service, ResponsesRequest)
    return count(asked.chat(), model, service.settings.max_images, asked.places)


async def _body(request: Request, service: Service, model: type[Model]) -> Model:
    return await service.admission.receive(lambda: read_model(request, model, service.settings.max_body))
