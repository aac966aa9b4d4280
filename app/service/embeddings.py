"""Vectors and scores: what the API calls."""

from __future__ import annotations

from app.domain.errors import UnsupportedContent
from app.domain.generation import EmbeddingRequest, EmbeddingResult, RerankRequest, RerankResult
from app.domain.models import Capability
from app.service.models import ModelManager

__all__ = ["EmbeddingService"]


class EmbeddingService:
    """Owned by the service loop."""

    def __init__(self, models: ModelManager) -> None:
        self._models = models

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors of an embedding model, or of one that writes. Raises RequestError and EngineError kinds."""
        model = await self._models.find(request.model)
        if model.can(Capability.RERANK):
            message = f"The model '{model.id}' ranks documents and makes no embeddings. Use it with /v1/rerank."
            raise UnsupportedContent(message, param="model")
        async with self._models.use(request.model, keep_alive_s=request.keep_alive_s, n_ctx=request.n_ctx) as used:
            return await used.client.embed(request.inputs, truncation=request.truncation)

    async def rerank(self, request: RerankRequest) -> RerankResult:
        """Raises RequestError and EngineError kinds."""
        model = await self._models.find(request.model)
        if not model.can(Capability.RERANK):
            raise UnsupportedContent(f"The model '{model.id}' can't rank documents. Use a reranker.", param="model")
        async with self._models.use(request.model, keep_alive_s=request.keep_alive_s, n_ctx=request.n_ctx) as used:
            return await used.client.rerank(request.query, request.documents, truncation=request.truncation)
