"""POST /v1/responses, /v1/responses/input_tokens and /v1/responses/compact."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.domain.generation import ChatRequest, Finished, GenerationEvent
from app.domain.messages import Message
from app.domain.param_names import param_called
from app.server.answers import IndexedEvent, Tally, merged
from app.server.body import read_body
from app.server.recording import RequestTrack, track_of
from app.server.response_runs import ResponseRuns, followed
from app.server.response_store import ResponseStore, Turn
from app.server.streaming import EventStream, while_connected
from app.server.wire.base import undeclared
from app.server.wire.fates import RESPONSE_FIELDS, ignored_fields, ignored_header
from app.server.wire.responses.body import ResponseBody, ResponseRequest, response_request
from app.server.wire.responses.compaction import COMPACTION_TASK, compaction_body, compaction_request
from app.server.wire.responses.frames import ResponseFrames
from app.server.wire.responses.items import InputItems, input_items, item_bodies, resolved
from app.server.wire.responses.output import ResponseOutput, ShownOutput
from app.server.wire.responses.reply import ResponseHead, finished_body
from app.service.chat import ChatService
from app.service.models import ModelManager

__all__ = ["response_routes"]


def response_routes(chat: ChatService, models: ModelManager, store: ResponseStore, runs: ResponseRuns) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/responses")
    async def create_response(request: Request) -> Response:
        asked = await _read(request, store)
        body, wanted, headers = asked.body, asked.wanted, asked.headers
        head = ResponseHead.of(body, wanted.tools)
        output = ResponseOutput(_shown(body, wanted))
        tally = Tally()
        events = merged([partial(_generated, chat, wanted.chat, truncates=body.truncates)])

        items = item_bodies(asked.items)

        def keep(told: dict[str, Any]) -> None:
            if body.keeps:
                store.keep(told, (*asked.before, Turn.of(items, tuple(told["output"]))))

        frames = ResponseFrames(head, output, keep)
        if body.background:
            await models.find(body.model)
            run = runs.begin(head.id, events, frames, tally, partial(_end, store, head.id, track_of(request), tally))
            track_of(request).outlived()
            keep(run.body)
            return followed(run.follow(-1), headers=headers) if body.stream else JSONResponse(run.body, headers=headers)
        if body.stream:
            stream = EventStream(events, frames, tally, track_of(request), headers=headers)
            await while_connected(request, stream.decide())
            return stream
        await while_connected(request, _gather(events, output, tally))
        track_of(request).count(tally)
        told = finished_body(head, output, tally)
        keep(told)
        return JSONResponse(told, headers=headers)

    @router.post("/v1/responses/input_tokens")
    async def count_input_tokens(request: Request) -> Response:
        asked = await _read(request, store)

        async def count() -> int:
            with param_called("input"):
                chosen = await chat.shortened(asked.wanted.chat) if asked.body.truncates else asked.wanted.chat
                return await chat.count_prompt_tokens(chosen)

        n_tokens = await while_connected(request, count())
        return JSONResponse({"object": "response.input_tokens", "input_tokens": n_tokens}, headers=asked.headers)

    @router.post("/v1/responses/compact")
    async def compact_conversation(request: Request) -> Response:
        asked = await _read(request, store)
        output = ResponseOutput(ShownOutput(reasoning=False))
        tally = Tally()
        short = compaction_request(asked.wanted.chat)
        events = merged([partial(_generated, chat, short, truncates=True, task=(COMPACTION_TASK,))])
        await while_connected(request, _gather(events, output, tally))
        track_of(request).count(tally)
        return JSONResponse(compaction_body(output, tally), headers=asked.headers)

    return router


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as it was read: what came before it, its own items, and what they come to."""

    body: ResponseBody
    before: tuple[Turn, ...]
    items: InputItems
    wanted: ResponseRequest
    headers: dict[str, str]


async def _read(request: Request, store: ResponseStore) -> _Asked:
    body = await read_body(request, ResponseBody)
    track_of(request).named(body.model)
    ignored = ignored_fields(undeclared(body), RESPONSE_FIELDS)
    before = store.turns_before(body.previous_response_id)
    items, wanted = _request(body, before, store)
    return _Asked(body, before, items, wanted, ignored_header((*ignored, *wanted.ignored)))


def _request(body: ResponseBody, before: tuple[Turn, ...], store: ResponseStore) -> tuple[InputItems, ResponseRequest]:
    with param_called("input"):
        items = resolved(input_items(body.input), store.said)
        said = [item for turn in before for item in (*turn.asked, *turn.said)]
        return items, response_request(body, said, items)


def _end(
    store: ResponseStore, response_id: str, track: RequestTrack, tally: Tally, written: tuple[bytes, ...], error: str | None
) -> None:
    """Of a response in the background."""
    store.keep_events(response_id, written)
    track.finish(tally, error)


def _shown(body: ResponseBody, wanted: ResponseRequest) -> ShownOutput:
    return ShownOutput(
        logprobs=body.wants_logprobs,
        reasoning=body.shows_reasoning,
        summary=body.wants_summary,
        sealed_reasoning=body.wants_sealed_reasoning,
        names=wanted.tools.names,
    )


async def _generated(
    chat: ChatService, wanted: ChatRequest, *, truncates: bool, task: tuple[Message, ...] = ()
) -> AsyncGenerator[GenerationEvent, None]:
    """`task`, where it truncates, is what is said after the conversation."""
    with param_called("input"):
        chosen = await chat.shortened(wanted, task=task) if truncates else wanted
        async with aclosing(chat.generate(chosen)) as events:
            async for event in events:
                yield event


async def _gather(events: AsyncGenerator[IndexedEvent, None], output: ResponseOutput, tally: Tally) -> None:
    async with aclosing(events):
        async for index, event in events:
            output.add(event)
            if isinstance(event, Finished):
                tally.add(index, event)
