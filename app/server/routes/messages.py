"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.domain.generation import Finished
from app.server.answers import IndexedEvent, Tally, merged
from app.server.body import read_body
from app.server.recording import track_of
from app.server.streaming import EventStream, while_connected
from app.server.wire.anthropic.body import CountBody, MessageBody, message_request, prompt_request
from app.server.wire.anthropic.frames import MessageFrames
from app.server.wire.anthropic.head import MessageHead
from app.server.wire.anthropic.whole import WholeMessage
from app.server.wire.base import undeclared
from app.server.wire.fates import COUNT_FIELDS, MESSAGE_FIELDS, ignored_fields, ignored_header
from app.service.chat import ChatService

__all__ = ["message_routes"]


def message_routes(chat: ChatService) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/messages")
    async def create_message(request: Request) -> Response:
        body = await read_body(request, MessageBody)
        track = track_of(request)
        track.named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), MESSAGE_FIELDS))
        events = merged([partial(chat.generate, message_request(body))])
        head, tally = MessageHead.of(body), Tally()
        if body.stream:
            stream = EventStream(events, MessageFrames(head, track.id), tally, track, headers=headers)
            await while_connected(request, stream.decide())
            return stream
        whole = await while_connected(request, _whole(events, head, tally))
        track.count(tally)
        return JSONResponse(whole.body(), headers=headers)

    @router.post("/v1/messages/count_tokens")
    async def count_tokens(request: Request) -> Response:
        body = await read_body(request, CountBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), COUNT_FIELDS))
        count = await while_connected(request, chat.count_prompt_tokens(prompt_request(body)))
        return JSONResponse({"input_tokens": count}, headers=headers)

    return router


async def _whole(events: AsyncGenerator[IndexedEvent, None], head: MessageHead, tally: Tally) -> WholeMessage:
    message = WholeMessage(head)
    async with aclosing(events):
        async for index, event in events:
            message.add(event)
            if isinstance(event, Finished):
                tally.add(index, event)
    return message
