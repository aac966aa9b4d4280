"""POST /tokenize, /detokenize, /apply-template and /v1/chat/completions/input_tokens: prompts, as the model would get them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.server.body import read_body
from app.server.recording import track_of
from app.server.streaming import while_connected
from app.server.wire.base import undeclared
from app.server.wire.chat import ChatBody, chat_requests
from app.server.wire.fates import CHAT_FIELDS, DETOKENIZE_FIELDS, TOKENIZE_FIELDS, ignored_fields, ignored_header
from app.server.wire.tokens import DetokenizeBody, TokenizeBody, prompt_text, text_segments, token_list, tokenize_request
from app.service.chat import ChatService
from app.service.models import ModelInUse, ModelManager

__all__ = ["token_routes"]


def token_routes(chat: ChatService, models: ModelManager) -> APIRouter:
    router = APIRouter()

    @router.post("/tokenize")
    @router.post("/v1/tokenize")
    async def tokenize(request: Request) -> Response:
        body = await read_body(request, TokenizeBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), TOKENIZE_FIELDS))

        async def work() -> dict[str, Any]:
            text = text_segments(body)
            ids = await chat.prompt_tokens(tokenize_request(body)) if text is None else ()
            async with models.use(body.model) as model:
                if text is not None:
                    ids = await model.client.tokenize(text, add_special=body.adds_special)
                pieces = await _pieces(model, ids) if body.with_pieces or body.return_token_strs else None
                return token_list(ids, pieces, body=body, n_ctx=model.client.info.n_ctx)

        return JSONResponse(await while_connected(request, work()), headers=headers)

    @router.post("/detokenize")
    @router.post("/v1/detokenize")
    async def detokenize(request: Request) -> Response:
        body = await read_body(request, DetokenizeBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), DETOKENIZE_FIELDS))

        async def work() -> str:
            async with models.use(body.model) as model:
                return await model.client.detokenize(tuple(body.tokens))

        text = await while_connected(request, work())
        return JSONResponse({"content": text, "prompt": text}, headers=headers)

    @router.post("/apply-template")
    @router.post("/v1/apply-template")
    async def apply_template(request: Request) -> Response:
        body = await read_body(request, ChatBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), CHAT_FIELDS))
        prompt = await while_connected(request, chat.prompt(chat_requests(body)[0]))
        return JSONResponse({"prompt": prompt_text(prompt)}, headers=headers)

    @router.post("/v1/chat/completions/input_tokens")
    async def count_input_tokens(request: Request) -> Response:
        body = await read_body(request, ChatBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), CHAT_FIELDS))
        count = await while_connected(request, chat.count_prompt_tokens(chat_requests(body)[0]))
        return JSONResponse({"object": "response.input_tokens", "input_tokens": count}, headers=headers)

    return router


async def _pieces(model: ModelInUse, ids: Sequence[int]) -> list[bytes]:
    """What each token stands for; nothing for those of pictures and sounds."""
    texts = iter(await model.client.pieces(tuple(id for id in ids if id >= 0)))
    return [next(texts) if id >= 0 else b"" for id in ids]
