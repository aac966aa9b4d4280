"""Every endpoint: what it takes, what becomes of each field, and what it answers. The API's description is made from this."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel

from app.server.wire import replies
from app.server.wire.anthropic.body import CountBody, MessageBody
from app.server.wire.audio import TranscriptionBody
from app.server.wire.chat import ChatBody
from app.server.wire.completions import CompletionBody
from app.server.wire.embeddings import EmbeddingBody
from app.server.wire.fates import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    COUNT_FIELDS,
    DETOKENIZE_FIELDS,
    EMBEDDING_FIELDS,
    MESSAGE_FIELDS,
    RERANK_FIELDS,
    RESPONSE_FIELDS,
    TOKENIZE_FIELDS,
    TRANSCRIPTION_FIELDS,
    FieldRule,
)
from app.server.wire.rerank import RerankBody
from app.server.wire.responses.body import ResponseBody
from app.server.wire.tokens import DetokenizeBody, TokenizeBody

__all__ = ["ENDPOINTS", "Endpoint"]

_JSON = "application/json"
_ASKED = (400, 401, 403, 404, 408, 413, 415, 429, 500, 503)
_LOOKED_AT = (401, 403, 500, 503)
_KEPT = (400, *_LOOKED_AT, 404)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`reply` and `event` are types of what is answered, whole and per event of a stream.

    `text` are media types of answers that are no JSON. `aliases` are other paths to the same. `example` is a body that works
    where there is a model of that name. `is_open` needs no key. A stream with `names_events` says of each what it is, and ends
    without `[DONE]`. `error` is the shape of its errors.
    """

    method: Literal["get", "post", "delete"]
    path: str
    summary: str
    reply: Any
    body: type[BaseModel] | None = None
    fields: tuple[FieldRule, ...] = ()
    event: Any = None
    text: tuple[str, ...] = ()
    takes_file: bool = False
    aliases: tuple[str, ...] = ()
    problems: tuple[int, ...] = _LOOKED_AT
    example: MappingProxyType[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    is_open: bool = False
    names_events: bool = False
    error: Any = replies.Error


def _post(path: str, summary: str, body: type[BaseModel], reply: Any, **options: Any) -> Endpoint:
    example = MappingProxyType(options.pop("example", {}))
    return Endpoint("post", path, summary, reply, body, problems=_ASKED, example=example, **options)


_HELLO = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}]}

ENDPOINTS: tuple[Endpoint, ...] = (
    _post(
        "/v1/chat/completions",
        "Answer a conversation",
        ChatBody,
        replies.ChatCompletion,
        fields=CHAT_FIELDS,
        event=replies.ChatCompletionChunk,
        example={**_HELLO, "max_completion_tokens": 100, "temperature": 0},
    ),
    _post(
        "/v1/chat/completions/input_tokens",
        "Count the tokens that a conversation's prompt would have",
        ChatBody,
        replies.InputTokens,
        example=_HELLO,
    ),
    _post(
        "/v1/completions",
        "Continue a text",
        CompletionBody,
        replies.Completion,
        fields=COMPLETION_FIELDS,
        event=replies.Completion,
        example={"model": "ember", "prompt": "Once upon a time", "max_tokens": 20},
    ),
    _post(
        "/v1/responses",
        "Answer a conversation, and keep it",
        ResponseBody,
        replies.Response,
        fields=RESPONSE_FIELDS,
        event=replies.NamedEvent,
        names_events=True,
        example={"model": "ember", "input": "Hello", "temperature": 0},
    ),
    _post(
        "/v1/responses/input_tokens",
        "Count the tokens that a response's prompt would have",
        ResponseBody,
        replies.InputTokens,
        example={"model": "ember", "input": "Hello"},
    ),
    _post(
        "/v1/responses/compact",
        "Let the model write down what a conversation came to",
        ResponseBody,
        replies.Compaction,
        example={"model": "ember", "input": "Hello"},
    ),
    Endpoint(
        "get",
        "/v1/responses/{response_id}",
        "Look at a response that is kept",
        replies.Response,
        event=replies.NamedEvent,
        names_events=True,
        problems=_KEPT,
    ),
    Endpoint("delete", "/v1/responses/{response_id}", "Forget a response", replies.DeletedResponse, problems=_KEPT),
    Endpoint("post", "/v1/responses/{response_id}/cancel", "End one in the background", replies.Response, problems=_KEPT),
    Endpoint("get", "/v1/responses/{response_id}/input_items", "List its input", replies.InputItems, problems=_KEPT),
    _post(
        "/v1/messages",
        "Answer a conversation, as Anthropic's API does",
        MessageBody,
        replies.AnthropicReply,
        fields=MESSAGE_FIELDS,
        event=replies.NamedEvent,
        names_events=True,
        error=replies.AnthropicError,
        example={**_HELLO, "max_tokens": 100},
    ),
    _post(
        "/v1/messages/count_tokens",
        "Count what such a conversation takes of the context",
        CountBody,
        replies.MessageTokens,
        fields=COUNT_FIELDS,
        error=replies.AnthropicError,
        example=_HELLO,
    ),
    _post(
        "/v1/embeddings",
        "Turn texts into vectors",
        EmbeddingBody,
        replies.EmbeddingList,
        fields=EMBEDDING_FIELDS,
        example={"model": "all-minilm", "input": ["one text", "another one"]},
    ),
    _post(
        "/v1/rerank",
        "Order documents by how well they answer a query",
        RerankBody,
        replies.Reranking,
        fields=RERANK_FIELDS,
        aliases=("/rerank",),
        example={"model": "ranker", "query": "What is fire?", "documents": ["Fire is hot.", "Water is wet."]},
    ),
    _post(
        "/v1/audio/transcriptions",
        "Write down what is said in a recording",
        TranscriptionBody,
        replies.Transcription,
        fields=TRANSCRIPTION_FIELDS,
        event=replies.TranscriptEvent,
        text=("text/plain; charset=utf-8",),
        takes_file=True,
    ),
    _post(
        "/v1/audio/translations",
        "Say in English what is said in a recording",
        TranscriptionBody,
        replies.Transcription,
        fields=TRANSCRIPTION_FIELDS,
        event=replies.TranscriptEvent,
        text=("text/plain; charset=utf-8",),
        takes_file=True,
    ),
    _post(
        "/tokenize",
        "Turn a text or a conversation into tokens",
        TokenizeBody,
        replies.TokenList,
        fields=TOKENIZE_FIELDS,
        aliases=("/v1/tokenize",),
        example={"model": "ember", "content": "Hello"},
    ),
    _post(
        "/detokenize",
        "Turn tokens into a text",
        DetokenizeBody,
        replies.DetokenizedText,
        fields=DETOKENIZE_FIELDS,
        aliases=("/v1/detokenize",),
        example={"model": "ember", "tokens": [72, 105]},
    ),
    _post(
        "/apply-template",
        "Show the prompt that a conversation becomes",
        ChatBody,
        replies.RenderedPrompt,
        aliases=("/v1/apply-template",),
        example=_HELLO,
    ),
    Endpoint("get", "/v1/models", "List the installed models", replies.ModelList),
    Endpoint("get", "/v1/models/{name}", "Look at one model", replies.Model, problems=(*_LOOKED_AT, 404)),
    Endpoint("get", "/health", "Whether the server answers", replies.Health, is_open=True),
    Endpoint(
        "get",
        "/metrics",
        "Counts and times for Prometheus",
        None,
        text=("text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text"),
    ),
    Endpoint("get", "/openapi.json", "This description", dict[str, Any]),
    Endpoint("get", "/", "What this is", replies.Index, aliases=("/v1", "/v1/"), is_open=True),
)
