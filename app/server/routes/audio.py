"""POST /v1/audio/transcriptions and /v1/audio/translations: a model that hears is asked what is said."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app.domain.errors import AnswerOverflow, UnsupportedContent
from app.domain.generation import ChatRequest, Finished, FinishReason, GenerationEvent
from app.domain.models import Capability
from app.domain.param_names import param_called
from app.server.answers import Tally, collect, merged
from app.server.form import read_form
from app.server.recording import track_of
from app.server.streaming import EventStream, while_connected
from app.server.wire.audio import Task, TranscriptFrames, TranscriptionBody, sound_seconds, transcript, transcription_request
from app.server.wire.base import undeclared
from app.server.wire.fates import TRANSCRIPTION_FIELDS, ignored_fields, ignored_header
from app.service.chat import ChatService
from app.service.models import ModelManager

__all__ = ["audio_routes"]


def audio_routes(chat: ChatService, models: ModelManager) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/audio/transcriptions")
    async def create_transcription(request: Request) -> Response:
        return await _answer(request, "transcribe")

    @router.post("/v1/audio/translations")
    async def create_translation(request: Request) -> Response:
        return await _answer(request, "translate")

    async def _answer(request: Request, task: Task) -> Response:
        form = await read_form(request)
        body = form.body(TranscriptionBody)
        track_of(request).named(body.model)
        headers = ignored_header(ignored_fields(undeclared(body), TRANSCRIPTION_FIELDS))
        sound = form.file("file")
        seconds = sound_seconds(sound)
        wanted = transcription_request(task, body, sound)
        await _require_hearing(models, body.model)
        sources = [partial(_heard, chat, wanted)]
        tally = Tally()
        if body.stream:
            frames = TranscriptFrames(logprobs=body.wants_logprobs)
            stream = EventStream(merged(sources), frames, tally, track_of(request), headers=headers)
            await while_connected(request, stream.decide())
            return stream
        (answer,) = await while_connected(request, collect(sources, tally))
        track_of(request).count(tally)
        told = transcript(task, body, seconds, answer, tally)
        return PlainTextResponse(told, headers=headers) if isinstance(told, str) else JSONResponse(told, headers=headers)

    return router


async def _require_hearing(models: ModelManager, name: str) -> None:
    model = await models.find(name)
    if not model.can(Capability.AUDIO):
        raise UnsupportedContent(f"The model '{model.id}' can't hear. Use a model with audio input.", param="model")


async def _heard(chat: ChatService, wanted: ChatRequest) -> AsyncGenerator[GenerationEvent, None]:
    """A transcript that is cut is none: nothing in its shape could say so."""
    with param_called("file"):
        async with aclosing(chat.generate(wanted)) as events:
            async for event in events:
                if isinstance(event, Finished) and event.reason is FinishReason.LENGTH:
                    raise AnswerOverflow(param="file")
                yield event
