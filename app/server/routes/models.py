"""GET /v1/models and /v1/models/{id}."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from app.library.library import ModelLibrary
from app.server.wire.models import model_body
from app.service.models import ModelManager

__all__ = ["model_routes"]


def model_routes(library: ModelLibrary, models: ModelManager) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models() -> Response:
        usable = [model for model in await library.refresh() if model.problem is None]
        return JSONResponse({"object": "list", "data": [model_body(model, models.state(model.id)) for model in usable]})

    @router.get("/v1/models/{model_id:path}")
    async def retrieve_model(model_id: str) -> Response:
        """Ids may contain slashes, which the official clients send as %2F."""
        if not model_id:
            return await list_models()
        model = await library.find(model_id)
        return JSONResponse(model_body(model, models.state(model.id)))

    return router
