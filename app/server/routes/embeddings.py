"""POST /v1/embeddings and /v1/rerank."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.domain.generation import Finished, FinishReason, Timings, Usage
from app.server.answers import Tally
from app.server.body import read_body
from app.server.recording import track_of
from app.server.streaming import while_connected
from app.server.wire.base import undeclared
from app.server.wire.embeddings import EmbeddingBody, embedding_request, embeddings
from app.server.wire.fates import EMBEDDING_FIELDS, RERANK_FIELDS, ignored_fields, ignored_header
from app.server.wire.rerank import RerankBody, rerank_request, reranking
from app.service.embeddings import EmbeddingService

__all__ = ["embedding_routes"]


def embedding_routes(service: EmbeddingService) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/embeddings")
    async def create_embedding(request: Request) -> Response:
        body = await read_body(request, EmbeddingBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), EMBEDDING_FIELDS))
        result = await while_connected(request, service.embed(embedding_request(body)))
        track_of(request).count(_tally(result.prompt_tokens))
        return JSONResponse(embeddings(body, result), headers=headers)

    @router.post("/v1/rerank")
    @router.post("/rerank")
    async def rerank(request: Request) -> Response:
        body = await read_body(request, RerankBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), RERANK_FIELDS))
        result = await while_connected(request, service.rerank(rerank_request(body)))
        track_of(request).count(_tally(result.prompt_tokens))
        return JSONResponse(reranking(body, result), headers=headers)

    return router


def _tally(prompt_tokens: int) -> Tally:
    tally = Tally()
    tally.add(0, Finished(FinishReason.STOP, Usage(prompt_tokens, 0), Timings(0.0, 0.0, 0.0)))
    return tally
