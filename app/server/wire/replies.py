"""What answers look like, for the API's own description. Fields that are not always there are NotRequired."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

# pydantic reads TypedDicts of the standard library from Python 3.12 on.
from typing_extensions import TypedDict

__all__ = [
    "AnthropicError",
    "AnthropicReply",
    "ChatCompletion",
    "ChatCompletionChunk",
    "Compaction",
    "Completion",
    "DeletedResponse",
    "DetokenizedText",
    "EmbeddingList",
    "Error",
    "Health",
    "Index",
    "InputItems",
    "InputTokens",
    "MessageTokens",
    "Model",
    "ModelList",
    "NamedEvent",
    "RenderedPrompt",
    "Reranking",
    "Response",
    "TokenList",
    "TranscriptEvent",
    "Transcription",
]


class ErrorDetail(TypedDict):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(TypedDict):
    error: ErrorDetail


class AnthropicErrorDetail(TypedDict):
    type: str
    message: str
    details: NotRequired[dict[str, Any]]


class AnthropicError(TypedDict):
    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str


class PromptTokensDetails(TypedDict):
    cached_tokens: int
    audio_tokens: int


class CompletionTokensDetails(TypedDict):
    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class Usage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class Timings(TypedDict):
    queue_ms: float
    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_second: float | None
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float | None
    draft_n: int
    draft_n_accepted: int


class PromptProgress(TypedDict):
    total: int
    cache: int
    processed: int
    time_ms: float


class TopLogprob(TypedDict):
    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class ChatLogprobs(TypedDict):
    content: list[ContentLogprob]
    refusal: None


class FunctionCall(TypedDict):
    name: str
    arguments: str


class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: FunctionCall


class ChatMessage(TypedDict):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: NotRequired[str]
    reasoning: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]


class ChatChoice(TypedDict):
    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length", "tool_calls"]
    schema_error: NotRequired[str]


class ChatCompletion(TypedDict):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    timings: NotRequired[Timings]


class FunctionCallDelta(TypedDict):
    name: NotRequired[str]
    arguments: str


class ToolCallDelta(TypedDict):
    """`id`, `type` and the name come with the first of each call."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionCallDelta


class ChatDelta(TypedDict):
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    refusal: NotRequired[None]
    reasoning_content: NotRequired[str]
    reasoning: NotRequired[str]
    tool_calls: NotRequired[list[ToolCallDelta]]


class ChunkChoice(TypedDict):
    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length", "tool_calls"] | None
    schema_error: NotRequired[str]


class ChatCompletionChunk(TypedDict):
    """`usage` is there where stream_options.include_usage asks for it: null but in the last chunk, which has no choices."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: NotRequired[Usage | None]
    timings: NotRequired[Timings]
    prompt_progress: NotRequired[PromptProgress]


class CompletionLogprobs(TypedDict):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class CompletionChoice(TypedDict):
    """`finish_reason` is null in the chunks before the last."""

    text: str
    index: int
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None
    schema_error: NotRequired[str]


class Completion(TypedDict):
    """Whole, or a chunk of a stream."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: NotRequired[Usage | None]
    timings: NotRequired[Timings]
    prompt_progress: NotRequired[PromptProgress]


class InputUsage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class Embedding(TypedDict):
    """`embedding` is base64 of little-endian float32 where encoding_format asks for it."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingList(TypedDict):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: InputUsage


class RankedText(TypedDict):
    text: str


class RankedDocument(TypedDict):
    index: int
    relevance_score: float
    document: NotRequired[RankedText]


class Reranking(TypedDict):
    object: Literal["list"]
    model: str
    results: list[RankedDocument]
    usage: InputUsage


class Model(TypedDict):
    """OpenAI's four fields; the others say what the model can do and how it is loaded."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context_length: int | None
    capabilities: list[str]
    state: str


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]


class TokenPiece(TypedDict):
    """`piece` is a text, or where a token is a part of a character its bytes."""

    id: int
    piece: str | list[int]


class TokenList(TypedDict):
    tokens: list[int] | list[TokenPiece]
    count: int
    max_model_len: int
    token_strs: NotRequired[list[str]]


class DetokenizedText(TypedDict):
    """The same text twice: under llama-server's name and vLLM's."""

    content: str
    prompt: str


class RenderedPrompt(TypedDict):
    prompt: str


class InputTokens(TypedDict):
    object: Literal["response.input_tokens"]
    input_tokens: int


class NamedEvent(TypedDict):
    """What else there is depends on `type`, which is the event's name as well."""

    type: str


class Response(TypedDict):
    """`output` holds messages, calls and reasoning."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    previous_response_id: str | None


class Compaction(TypedDict):
    """`output` takes the place of the conversation."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[dict[str, Any]]
    usage: dict[str, Any]


class DeletedResponse(TypedDict):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class InputItems(TypedDict):
    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class MessageUsage(TypedDict):
    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


class AnthropicReply(TypedDict):
    """`content` holds blocks of text, thinking and calls."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage


class MessageTokens(TypedDict):
    input_tokens: int


class TranscriptUsage(TypedDict):
    type: Literal["tokens", "duration"]
    input_tokens: NotRequired[int]
    output_tokens: NotRequired[int]
    total_tokens: NotRequired[int]
    seconds: NotRequired[float]


class Transcription(TypedDict):
    """`task`, `language` and `duration` come with response_format verbose_json."""

    text: str
    usage: TranscriptUsage
    logprobs: NotRequired[list[TopLogprob]]
    task: NotRequired[Literal["transcribe", "translate"]]
    language: NotRequired[str]
    duration: NotRequired[float]


class TranscriptEvent(TypedDict):
    """Deltas have `delta`, the last event has `text` and `usage`."""

    type: Literal["transcript.text.delta", "transcript.text.done"]
    delta: NotRequired[str]
    text: NotRequired[str]
    usage: NotRequired[TranscriptUsage]
    logprobs: NotRequired[list[TopLogprob]]


class Health(TypedDict):
    status: Literal["ok"]


class Index(TypedDict):
    name: str
    version: str
    api: str
    openapi: str
