"""POST /tokenize and /detokenize."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.server.body import read_body
from app.server.streaming import while_connected
from app.server.wire.tokens import DetokenizeBody, TokenizeBody, segments
from app.service.models import ModelManager

__all__ = ["token_routes"]


def token_routes(models: ModelManager) -> APIRouter:
    router = APIRouter()

    @router.post("/tokenize")
    async def tokenize(request: Request) -> Response:
        body = await read_body(request, TokenizeBody)

        async def work() -> tuple[int, ...]:
            async with models.use(body.model) as model:
                return await model.client.tokenize(segments(body), add_special=body.add_special)

        return JSONResponse({"tokens": list(await while_connected(request, work()))})

    @router.post("/detokenize")
    async def detokenize(request: Request) -> Response:
        body = await read_body(request, DetokenizeBody)

        async def work() -> str:
            async with models.use(body.model) as model:
                return await model.client.detokenize(tuple(body.tokens))

        return JSONResponse({"content": await while_connected(request, work())})

    return router
