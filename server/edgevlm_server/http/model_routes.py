"""The routes that say what is served, and by which program. Knows HTTP."""

from fastapi import APIRouter

from edgevlm_server.api.answer_schema import ModelCard, ModelList, Version
from edgevlm_server.errors import NotFound
from edgevlm_server.http.auth import Served
from edgevlm_server.http.openapi import PLAIN, answers
from edgevlm_server.service import Service
from edgevlm_server.version import commit, version

router = APIRouter(tags=["models"])


@router.get("/v1/models", responses=answers(PLAIN))
async def list_models(service: Served) -> ModelList:
    """The one model that is served."""
    return ModelList(data=[_card(service)])


# a name may hold a slash
@router.get("/v1/models/{model:path}", responses=answers((*PLAIN, 404)))
async def one_model(model: str, service: Served) -> ModelCard:
    """The model of this name."""
    card = _card(service)
    if model != card.id:
        raise NotFound(f"This server has one model, '{card.id}'.", code="model_not_found", param="model")
    return card


@router.get("/version", responses=answers((401,)))
async def program_version() -> Version:
    """The program's version, and the commit it was built from if known; vLLM's route. Answered while loading, too."""
    return Version(version=version(), commit=commit())


def _card(service: Service) -> ModelCard:
    model = service.loaded().model
    return ModelCard(id=model.manifest.model, created=service.started, max_model_len=model.engine.info.max_length)
