"""The body of POST /v1/rerank, and its answer: the shape that Cohere and Jina gave it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import RerankRequest, RerankResult
from app.server.wire.base import Items, LoadingFields, Part
from app.server.wire.truncation import TruncateField, truncation_of

__all__ = ["RerankBody", "rerank_request", "reranking"]

_MAX_DOCUMENTS = 2048


class RerankDocument(Part):
    text: str


class RerankBody(LoadingFields):
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[Items[str | RerankDocument], Field(min_length=1, max_length=_MAX_DOCUMENTS)]
    top_n: Annotated[int, Field(ge=1, description="How many of the best to answer with; all if left out.")] | None = None
    return_documents: bool | None = None
    truncate: TruncateField = None


def rerank_request(body: RerankBody) -> RerankRequest:
    texts = _texts(body)
    for index, text in enumerate(texts):
        if not text:
            raise InvalidRequest("A document can't be empty.", param=f"documents[{index}]")
    truncation = truncation_of(body.truncate)
    return RerankRequest(body.model, body.query, texts, truncation, keep_alive_s=body.kept_alive_s, n_ctx=body.wanted_ctx)


def reranking(body: RerankBody, result: RerankResult) -> dict[str, Any]:
    """The best first; documents that score alike stay in their order."""
    ranked = sorted(enumerate(result.scores), key=lambda item: -item[1])[: body.top_n]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": score} for index, score in ranked]
    if body.return_documents:
        texts = _texts(body)
        for entry in results:
            entry["document"] = {"text": texts[entry["index"]]}
    usage = {"prompt_tokens": result.prompt_tokens, "total_tokens": result.prompt_tokens}
    return {"model": body.model, "object": "list", "results": results, "usage": usage}


def _texts(body: RerankBody) -> tuple[str, ...]:
    return tuple(document if isinstance(document, str) else document.text for document in body.documents)
