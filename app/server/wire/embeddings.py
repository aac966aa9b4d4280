"""The body of POST /v1/embeddings, and its answer."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import numpy as np
from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import EmbeddingRequest, EmbeddingResult
from app.server.wire.base import Items, LoadingFields, TokenId, texts_or_tokens
from app.server.wire.truncation import TruncateField, truncation_of

__all__ = ["EmbeddingBody", "embedding_request", "embeddings"]

T = TypeVar("T")

_Inputs: TypeAlias = Annotated[Items[T], Field(min_length=1, max_length=2048)]


class EmbeddingBody(LoadingFields):
    input: str | _Inputs[str] | _Inputs[TokenId] | _Inputs[Items[TokenId]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    truncate: TruncateField = None


def embedding_request(body: EmbeddingBody) -> EmbeddingRequest:
    inputs = texts_or_tokens(body.input)
    for index, item in enumerate(inputs):
        if not item:
            raise InvalidRequest("An input can't be empty.", param="input" if len(inputs) == 1 else f"input[{index}]")
    truncation = truncation_of(body.truncate)
    return EmbeddingRequest(body.model, inputs, truncation, keep_alive_s=body.kept_alive_s, n_ctx=body.wanted_ctx)


def embeddings(body: EmbeddingBody, result: EmbeddingResult) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(body, vector)}
        for index, vector in enumerate(result.vectors)
    ]
    usage = {"prompt_tokens": result.prompt_tokens, "total_tokens": result.prompt_tokens}
    return {"object": "list", "data": data, "model": body.model, "usage": usage}


def _vector(body: EmbeddingBody, raw: bytes) -> list[float] | str:
    vector = np.frombuffer(raw, dtype="<f4")
    if body.dimensions is not None:
        vector = _shortened(vector, body.dimensions)
    if body.encoding_format == "base64":
        return base64.b64encode(vector.tobytes()).decode("ascii")
    floats: list[float] = vector.tolist()
    return floats


def _shortened(vector: np.ndarray[Any, np.dtype[np.float32]], dimensions: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The first `dimensions` values, at length 1 again. Only models trained for it keep most of their meaning in them."""
    if dimensions > vector.size:
        raise InvalidRequest(f"This model's vectors have {vector.size} dimensions.", param="dimensions")
    cut = vector[:dimensions]
    length = float(np.linalg.norm(cut))
    return cut / np.float32(length) if length > 0 else cut
