"""GET /v1/models and /v1/models/{id}: in OpenAI's shape, and to clients of Anthropic's API in theirs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.server.body import read_query
from app.server.error_shape import speaks_anthropic
from app.server.wire.anthropic.models import PageQuery, model_info, model_page
from app.server.wire.models import model_body
from app.service.descriptions import ModelDescriptions

__all__ = ["model_routes"]


def model_routes(models: ModelDescriptions) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models(request: Request) -> Response:
        described = await models.all()
        if speaks_anthropic(request.scope):
            return JSONResponse(model_page([model_info(model) for model in described], read_query(request, PageQuery)))
        return JSONResponse({"object": "list", "data": [model_body(model) for model in described]})

    @router.get("/v1/models/{name:path}")
    async def retrieve_model(request: Request, name: str) -> Response:
        """Names may contain slashes, which the official clients send as %2F."""
        if not name:
            return await list_models(request)
        body = model_info if speaks_anthropic(request.scope) else model_body
        return JSONResponse(body(await models.find(name)))

    return router
