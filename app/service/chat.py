"""Answers: what both front ends call."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from app.domain.errors import EngineBusy, UnsupportedContent, UnsupportedParameter
from app.domain.generation import (
    ChatRequest,
    CompletionRequest,
    Echo,
    GenerationEvent,
    TextDelta,
)
from app.domain.messages import Message, Role
from app.domain.models import Capability, InstalledModel
from app.domain.param_names import param_called
from app.domain.prompt import Constraint, ControlText, PlainText, PromptSegment, TokenIds
from app.engine.protocol import GenerateJob, ModelInfo
from app.formats.answer_check import AnswerCheck, answer_check
from app.formats.output_grammar import output_grammar
from app.service.answer import AnswerParser, PlainParser, answer_events
from app.service.checked_answer import checked_events
from app.service.models import ModelInUse, ModelManager
from app.service.pictures import PictureFetcher
from app.service.shortening import ShorterVersions, room_for_answer

__all__ = ["ChatService"]


class ChatService:
    """Owned by the service loop. Without `pictures`, those that a request names by their address are refused."""

    def __init__(self, models: ModelManager, pictures: PictureFetcher | None = None) -> None:
        self._models = models
        self._pictures = pictures

    async def generate(self, request: ChatRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Answer a conversation. The last event is `Finished`; closing the generator cancels the answer.

        Raises RequestError and EngineError kinds. Errors of the request are raised before the first event.
        """
        request = await self.with_pictures(request)
        async with self._models.use(request.model, keep_alive_s=request.keep_alive_s, n_ctx=request.n_ctx) as used:
            _require_room(used)
            job, parser, check = await asyncio.to_thread(_chat_job, used, request)
            async with aclosing(checked_events(_answer(used, job, parser), check)) as events:
                async for event in events:
                    yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Continue a text. Control tokens written in it are control tokens, as no template stands between."""
        _require_text(await self._models.find(request.model))
        async with self._models.use(request.model, keep_alive_s=request.keep_alive_s, n_ctx=request.n_ctx) as used:
            _require_room(used)
            constraint, check = await asyncio.to_thread(_completion_output, request)
            job = GenerateJob(
                id=_new_id(),
                prompt=_completion_prompt(used.client.info, request),
                sampling=used.sampling_of(request.sampling),
                max_tokens=request.max_tokens,
                stop=request.stop,
                constraint=constraint,
                top_logprobs=request.top_logprobs,
                echo=request.echo is Echo.TOKENS,
                # Token ids are what the client wants the model to read, no more.
                add_special=isinstance(request.prompt, str),
                owner=request.cache_key,
            )
            with param_called("prompt"), param_called("prompt", instead_of="tokens"):
                echo = await _echo(used, request)
                async with aclosing(checked_events(_answer(used, job, PlainParser()), check)) as events:
                    async for event in events:
                        if echo:
                            # Not before the engine has taken the request: an error is to come first.
                            yield TextDelta(echo)
                            echo = ""
                        yield event

    async def with_pictures(self, request: ChatRequest) -> ChatRequest:
        """The request with the pictures that it names by their addresses. The other methods do this by themselves.

        Raises RequestError kinds; nothing is fetched for a model that can't see or write.
        """
        model = await self._models.find(request.model)
        _require_text(model)
        if self._pictures is None or all(len(message.images) == message.n_images for message in request.messages):
            return request
        if not model.can(Capability.VISION):
            raise _blind(model.id)
        return replace(request, messages=await self._pictures.fetched(request.messages))

    async def forget(self, cache_key: str) -> None:
        """Keep nothing of what was computed for a conversation."""
        await self._models.forget(cache_key)

    async def prompt(self, request: ChatRequest) -> tuple[PromptSegment, ...]:
        """The conversation as the model would get it, before it is cut into tokens."""
        request = await self.with_pictures(request)
        async with self._models.use(request.model, keep_alive_s=request.keep_alive_s, n_ctx=request.n_ctx) as used:
            return await _prompt(used, request)

    async def prompt_tokens(self, request: ChatRequest) -> tuple[int, ...]:
        """The tokens of the conversation; -1 for each one of a picture or sound."""
        request = await self.with_pictures(request)
        async with self._models.use(request.model, keep_alive_s=request.keep_alive_s, n_ctx=request.n_ctx) as used:
            return await _prompt_tokens(used, request)

    async def shortened(self, request: ChatRequest, *, task: tuple[Message, ...] = ()) -> ChatRequest:
        """The request, without the oldest turns of its conversation where they leave its answer no room.

        `task` is said after the conversation and no part of it: it stays whatever goes.
        """
        request = await self.with_pictures(request)
        versions = ShorterVersions(request.messages)

        def version(index: int) -> ChatRequest:
            return replace(request, messages=(*versions[index], *task))

        async with self._models.use(request.model, keep_alive_s=request.keep_alive_s, n_ctx=request.n_ctx) as used:
            limit = used.client.info.n_ctx - room_for_answer(used.client.info.n_ctx, request.max_tokens)
            low, high = 0, len(versions) - 1
            # Most conversations fit: the whole one is measured first.
            middle = low
            while low < high:
                if len(await _prompt_tokens(used, version(middle))) <= limit:
                    high = middle
                else:
                    low = middle + 1
                middle = (low + high) // 2
        return version(low)

    async def count_prompt_tokens(self, request: ChatRequest) -> int:
        """How many tokens the conversation would occupy, pictures and sound included."""
        return len(await self.prompt_tokens(request))


async def _prompt(used: ModelInUse, request: ChatRequest) -> tuple[PromptSegment, ...]:
    return await asyncio.to_thread(_chat_prompt, used, _decided(used, request))


async def _prompt_tokens(used: ModelInUse, request: ChatRequest) -> tuple[int, ...]:
    """Who holds a model must not ask for it again: another may wait for it to be loaded anew, and goes first."""
    return await used.client.tokenize(await _prompt(used, request), add_special=True)


def _require_text(model: InstalledModel) -> None:
    """Refuse before a load: an embedding model, or a reranker, can't write."""
    if model.can(Capability.RERANK):
        message = f"The model '{model.id}' ranks documents and can't write text. Use it with /v1/rerank."
        raise UnsupportedContent(message, param="model")
    if model.can(Capability.EMBEDDING) and not model.can(Capability.CHAT):
        message = f"The model '{model.id}' makes embeddings and can't write text. Use it with /v1/embeddings."
        raise UnsupportedContent(message, param="model")


def _require_room(used: ModelInUse) -> None:
    """A flood is turned away for little."""
    if used.client.crowded:
        raise EngineBusy


def _answer(used: ModelInUse, job: GenerateJob, parser: AnswerParser) -> AsyncGenerator[GenerationEvent, None]:
    return answer_events(used.client.generate(job), parser, finish=lambda: used.client.finish(job.id))


def _chat_job(used: ModelInUse, request: ChatRequest) -> tuple[GenerateJob, AnswerParser, AnswerCheck | None]:
    """On another thread: rendering a template several times, and compiling a schema, may take long."""
    request = _decided(used, request)
    job = GenerateJob(
        id=_new_id(),
        prompt=_chat_prompt(used, request),
        sampling=used.sampling_of(request.sampling),
        max_tokens=request.max_tokens,
        stop=request.stop,
        constraint=used.format.constraint(request),
        reasoning_limit=used.format.reasoning_limit(request),
        top_logprobs=request.top_logprobs,
        owner=request.cache_key,
        preferred=request.preferred,
    )
    return job, used.format.parser(request), answer_check(request.output)


def _decided(used: ModelInUse, request: ChatRequest) -> ChatRequest:
    """With what the model's settings say where the request does not."""
    messages = request.messages
    has_one = any(message.role in (Role.SYSTEM, Role.DEVELOPER) for message in messages)
    if used.system_prompt and request.takes_system_prompt and not has_one:
        messages = (Message.of(Role.SYSTEM, used.system_prompt), *messages)
    return replace(request, messages=messages, reasoning=request.reasoning.over(used.reasoning))


def _chat_prompt(used: ModelInUse, request: ChatRequest) -> tuple[PromptSegment, ...]:
    if not used.client.info.sees_pictures and any(message.images for message in request.messages):
        raise _blind(used.model.id)
    if not used.client.info.hears and any(message.sounds for message in request.messages):
        message = f"The model '{used.model.id}' can't hear. Use a model with audio input, or leave the sound out."
        raise UnsupportedContent(message, param="messages")
    return used.format.prompt(request)


def _blind(model_id: str) -> UnsupportedContent:
    message = f"The model '{model_id}' can't read pictures. Use a model with vision, or leave the picture out."
    return UnsupportedContent(message, param="messages")


def _completion_output(request: CompletionRequest) -> tuple[Constraint | None, AnswerCheck | None]:
    grammar = output_grammar(request.output)
    check = answer_check(request.output)
    if check is not None and request.echo is Echo.TOKENS:
        raise UnsupportedParameter(
            "An answer can't be checked against this schema where its prompt is told token by token: "
            "leave out 'echo', 'logprobs' or the schema.",
            param="echo",
        )
    return grammar.constraint if grammar else None, check


async def _echo(used: ModelInUse, request: CompletionRequest) -> str:
    """What comes before the answer and is none of the engine's."""
    if request.echo is not Echo.TEXT:
        return ""
    return request.prompt if isinstance(request.prompt, str) else await used.client.detokenize(request.prompt)


def _completion_prompt(info: ModelInfo, request: CompletionRequest) -> tuple[PromptSegment, ...]:
    prompt, suffix = request.prompt, request.suffix
    if not suffix:
        return (ControlText(prompt) if isinstance(prompt, str) else TokenIds(prompt),)
    if not (info.fim_prefix and info.fim_suffix and info.fim_middle):
        raise UnsupportedContent("This model can't fill in between a prompt and a suffix.", param="suffix")
    return (
        ControlText(info.fim_prefix),
        PlainText(prompt) if isinstance(prompt, str) else TokenIds(prompt),
        ControlText(info.fim_suffix),
        PlainText(suffix),
        ControlText(info.fim_middle),
    )


def _new_id() -> str:
    return uuid.uuid4().hex
