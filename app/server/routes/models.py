"""GET /v1/models and /v1/models/{id}: in OpenAI's shape, and to clients of Anthropic's API in theirs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.library.library import ModelLibrary
from app.server.body import read_query
from app.server.error_shape import speaks_anthropic
from app.server.wire.anthropic.models import PageQuery, model_info, model_page
from app.server.wire.models import model_body
from app.service.models import ModelManager

__all__ = ["model_routes"]


def model_routes(library: ModelLibrary, models: ModelManager) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models(request: Request) -> Response:
        usable = [model for model in await library.refresh() if model.problem is None]
        if speaks_anthropic(request.scope):
            infos = [model_info(model, models.state(model.id)) for model in usable]
            return JSONResponse(model_page(infos, read_query(request, PageQuery)))
        return JSONResponse({"object": "list", "data": [model_body(model, models.state(model.id)) for model in usable]})

    @router.get("/v1/models/{model_id:path}")
    async def retrieve_model(request: Request, model_id: str) -> Response:
        """Ids may contain slashes, which the official clients send as %2F."""
        if not model_id:
            return await list_models(request)
        model = await library.find(model_id)
        body = model_info if speaks_anthropic(request.scope) else model_body
        return JSONResponse(body(model, models.state(model.id)))

    return router
