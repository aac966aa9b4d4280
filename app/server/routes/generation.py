"""POST /v1/chat/completions and /v1/completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.server.answers import IndexedEvent, Source, Tally, collect, merged
from app.server.body import read_body
from app.server.recording import track_of
from app.server.streaming import EventStream, Frames, while_connected
from app.server.wire.base import undeclared
from app.server.wire.chat import ChatBody, chat_requests
from app.server.wire.chat_reply import ChatFrames, chat_completion
from app.server.wire.completions import CompletionBody, CompletionFrames, completion, completion_requests
from app.server.wire.fates import CHAT_FIELDS, COMPLETION_FIELDS, ignored_fields, ignored_header
from app.server.wire.reply import ReplyHead
from app.service.chat import ChatService

__all__ = ["generation_routes"]


def generation_routes(chat: ChatService, fingerprint: str) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/chat/completions")
    async def create_chat_completion(request: Request) -> Response:
        body = await read_body(request, ChatBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), CHAT_FIELDS))
        choices = chat_requests(body)
        if len(choices) > 1 and any(message.n_images > len(message.images) for message in choices[0].messages):
            # Once for all of them.
            fetched = await while_connected(request, chat.with_pictures(choices[0]))
            choices = tuple(replace(choice, messages=fetched.messages) for choice in choices)
        sources: list[Source] = [partial(chat.generate, wanted) for wanted in choices]
        head = ReplyHead.of("chatcmpl-", body.model, fingerprint)
        tally = Tally(per_prompt=body.n_choices)
        logprobs = bool(body.logprobs)
        if body.stream:
            frames = ChatFrames(
                head,
                choices=len(sources),
                logprobs=logprobs,
                usage=body.wants_usage,
                reasoning=body.shows_reasoning,
                progress=bool(body.return_progress),
            )
            return await _streamed(request, merged(sources), frames, tally, headers)
        answers = await while_connected(request, collect(sources, tally))
        track_of(request).count(tally)
        reply = chat_completion(head, answers, tally, logprobs=logprobs, reasoning=body.shows_reasoning)
        return JSONResponse(reply, headers=headers)

    @router.post("/v1/completions")
    async def create_completion(request: Request) -> Response:
        body = await read_body(request, CompletionBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), COMPLETION_FIELDS))
        sources: list[Source] = [partial(chat.complete, wanted) for wanted in completion_requests(body)]
        head = ReplyHead.of("cmpl-", body.model, fingerprint)
        tally = Tally(per_prompt=body.n_tried)
        if body.stream:
            frames = CompletionFrames(head, body, choices=len(sources))
            return await _streamed(request, merged(sources), frames, tally, headers)
        answers = await while_connected(request, collect(sources, tally))
        track_of(request).count(tally)
        return JSONResponse(completion(head, body, answers, tally), headers=headers)

    return router


async def _streamed(
    request: Request, events: AsyncGenerator[IndexedEvent, None], frames: Frames, tally: Tally, headers: dict[str, str]
) -> Response:
    """Begin to answer once the first event is there: until then an error is still a status code."""
    stream = EventStream(events, frames, tally, track_of(request), headers=headers)
    await while_connected(request, stream.decide())
    return stream
