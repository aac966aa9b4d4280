"""The body of POST /v1/completions, and its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import CompletionRequest, Echo, Finished, GenerationEvent, PrefillProgress, TextDelta, TokenLogprob
from app.server.answers import Answer, Tally
from app.server.wire.base import Items, StreamOptions, TextOrTokens, TokenId, texts_or_tokens, token_limit
from app.server.wire.output import OutputFields
from app.server.wire.reply import (
    DONE,
    DataFrames,
    ReadingClock,
    ReplyHead,
    closing_fields,
    encode,
    finite,
    schema_error_field,
    timings_body,
    usage_body,
)

__all__ = ["CompletionBody", "CompletionFrames", "completion", "completion_requests"]

T = TypeVar("T")

# OpenAI's own default, short as it is.
_DEFAULT_MAX_TOKENS = 16
_MAX_CHOICES = 128
_Prompts: TypeAlias = Annotated[Items[T], Field(min_length=1)]


class CompletionBody(OutputFields):
    prompt: str | _Prompts[str] | _Prompts[TokenId] | _Prompts[Items[TokenId]]
    suffix: str | None = None
    echo: bool | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    best_of: Annotated[int, Field(ge=1, le=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_progress: bool | None = None
    max_tokens: Annotated[int, Field(ge=-1, description="-1 sets no limit; 0 only reads the prompt.")] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def n_choices(self) -> int:
        """Answers per prompt."""
        return self.n or 1

    @property
    def n_tried(self) -> int:
        """Answers generated per prompt, of which the best `n_choices` are sent."""
        return max(self.best_of or 1, self.n_choices)

    @property
    def echoes(self) -> Echo:
        if not self.echo:
            return Echo.NONE
        return Echo.TEXT if self.logprobs is None else Echo.TOKENS

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def _prompts(body: CompletionBody) -> tuple[TextOrTokens, ...]:
    prompts = texts_or_tokens(body.prompt)
    if len(prompts) * body.n_tried > _MAX_CHOICES:
        raise InvalidRequest(f"A request can have at most {_MAX_CHOICES} answers in all.", param="prompt")
    return prompts


def completion_requests(body: CompletionBody) -> tuple[CompletionRequest, ...]:
    """All answers of the first prompt, then those of the second …"""
    _check(body)
    wants_logprobs = body.logprobs is not None or body.n_tried > body.n_choices
    shared: dict[str, Any] = {
        "model": body.model,
        "max_tokens": _max_tokens(body),
        "stop": body.stop_strings,
        "output": body.output,
        "suffix": body.suffix or None,
        "top_logprobs": (body.logprobs or 0) if wants_logprobs else None,
        "echo": body.echoes,
        "keep_alive_s": body.kept_alive_s,
        "n_ctx": body.wanted_ctx,
    }
    return tuple(
        CompletionRequest(prompt=prompt, sampling=body.sampling(index), cache_key=body.cache_key(index), **shared)
        for prompt in _prompts(body)
        for index in range(body.n_tried)
    )


def _max_tokens(body: CompletionBody) -> int | None:
    if body.max_tokens == 0:
        return 0
    return token_limit(max_tokens=_DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens)


def _check(body: CompletionBody) -> None:
    if body.best_of is not None and body.best_of < body.n_choices:
        raise InvalidRequest("'best_of' can't be less than 'n'.", param="best_of")
    if body.stream and body.n_tried > body.n_choices:
        raise InvalidRequest("The best of several answers can't be streamed: leave out 'best_of' or 'stream'.", param="best_of")
    if body.echoes is Echo.TOKENS and body.n_tried > body.n_choices:
        raise UnsupportedParameter(
            "The best of several answers can't be told with its prompt's log probabilities: leave out 'best_of' or 'echo'.",
            param="best_of",
        )
    if body.echo and body.suffix:
        raise InvalidRequest("'echo' and 'suffix' exclude each other.", param="echo")


def completion(head: ReplyHead, body: CompletionBody, answers: Sequence[Answer], tally: Tally) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    for first in range(0, len(answers), body.n_tried):
        tried = answers[first : first + body.n_tried]
        best = sorted(tried, key=lambda answer: -answer.mean_logprob) if body.n_tried > body.n_choices else tried
        for answer in best[: body.n_choices]:
            choices.append(_choice(len(choices), answer, logprobs=body.logprobs))
    return {**head.body("text_completion"), "choices": choices, **closing_fields(tally)}


def _choice(index: int, answer: Answer, *, logprobs: int | None) -> dict[str, Any]:
    return {
        "text": "".join(answer.text),
        "index": index,
        "logprobs": None if logprobs is None else _Offsets(0).shape(answer.logprobs, top=logprobs),
        "finish_reason": answer.reason.value,
        **schema_error_field(answer.schema_error),
    }


@dataclass(slots=True)
class _Offsets:
    """Where in the answer's text the next token begins, in characters."""

    next: int

    def shape(self, tokens: Sequence[TokenLogprob], *, top: int) -> dict[str, Any]:
        """The log probabilities as this endpoint has always written them."""
        offsets = []
        for token in tokens:
            offsets.append(self.next)
            self.next += len(token.text)
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [None if math.isnan(token.logprob) else finite(token.logprob) for token in tokens],
            "top_logprobs": [_alternatives(token) for token in tokens] if top else None,
            "text_offset": offsets,
        }


def _alternatives(token: TokenLogprob) -> dict[str, float] | None:
    if math.isnan(token.logprob):
        return None
    alternatives = {other.text: finite(other.logprob) for other in token.top}
    alternatives.setdefault(token.text, finite(token.logprob))
    return alternatives


class CompletionFrames(DataFrames):
    """Writes chunks from prepared text."""

    def __init__(self, head: ReplyHead, body: CompletionBody, *, choices: int) -> None:
        self._usage = body.wants_usage
        self._reading = ReadingClock() if body.return_progress else None
        self._top = body.logprobs
        self._offsets = [_Offsets(0) for _ in range(choices)]
        self._base = head.opened("text_completion", usage_null=self._usage)
        self._last = head.opened("text_completion", usage_null=False)

    def opening(self) -> bytes:
        return b""

    def event(self, index: int, event: GenerationEvent) -> bytes:
        match event:
            case TextDelta(text, tokens) if text or (tokens and self._top is not None):
                told = "null" if self._top is None else encode(self._offsets[index].shape(tokens, top=self._top))
                return self._frame(index, text, logprobs=told)
            case Finished():
                return self._end(index, event)
            case PrefillProgress() if self._reading is not None:
                choice = f'{{"text":"","index":{index},"logprobs":null,"finish_reason":null}}]'
                return f"{self._base}{choice}{self._reading.field(event)}".encode()
            case _:
                return b""

    def closing(self, tally: Tally) -> bytes:
        usage = f'{self._last}],"usage":{encode(usage_body(tally.usage))}}}\n\n' if self._usage else ""
        return usage.encode() + DONE

    def _end(self, index: int, finished: Finished) -> bytes:
        last = {"text": "", "index": index, "logprobs": None, "finish_reason": finished.reason.value}
        choice = encode({**last, **schema_error_field(finished.schema_error)})
        return f'{self._base}{choice}],"timings":{encode(timings_body(finished))}}}\n\n'.encode()

    def _frame(self, index: int, text: str, *, logprobs: str) -> bytes:
        choice = f'{{"text":{encode(text)},"index":{index},"logprobs":{logprobs},"finish_reason":null}}'
        return f"{self._base}{choice}]}}\n\n".encode()
