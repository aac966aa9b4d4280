"""What both front ends ask for and what comes back: requests, and one closed union of events."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

from app.domain.messages import Message

__all__ = [
    "AutoToolChoice",
    "ChatRequest",
    "CompletionRequest",
    "EmbeddingRequest",
    "EmbeddingResult",
    "FinishReason",
    "Finished",
    "GenerationEvent",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "NamedToolChoice",
    "OutputFormat",
    "PrefillProgress",
    "ReasoningDelta",
    "SamplingChoice",
    "SamplingParams",
    "TextDelta",
    "TextFormat",
    "Timings",
    "TokenLogprob",
    "Tool",
    "ToolArgumentsDelta",
    "ToolCallStarted",
    "ToolChoice",
    "Usage",
]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. Defaults are llama.cpp's; `temperature` 0 takes the most likely token.

    `seed` None draws a new one for each request. `top_k` 0, `top_p` 1, `min_p` 0 and penalties 0 (or 1 for `repeat_penalty`)
    switch a step off. `logit_bias` maps token ids to what is added to their logits.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_last_n: int = 64
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingChoice:
    """What a caller wants of sampling. None leaves a value to the model: to what its file recommends, else to the defaults."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repeat_last_n: int | None = None
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()

    def over(self, defaults: SamplingParams) -> SamplingParams:
        """The defaults, changed where something was chosen."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(defaults, **{name: value for name, value in chosen.items() if value is not None})


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Free text."""


@dataclass(frozen=True, slots=True)
class JsonObjectFormat:
    """Any JSON object."""


@dataclass(frozen=True, slots=True)
class JsonSchemaFormat:
    """JSON that conforms to `schema`, a JSON Schema as JSON text."""

    schema: str
    name: str = "response"


OutputFormat: TypeAlias = TextFormat | JsonObjectFormat | JsonSchemaFormat


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. `parameters` is a JSON Schema as JSON text."""

    name: str
    description: str = ""
    parameters: str = '{"type": "object", "properties": {}}'
    strict: bool = False


class AutoToolChoice(enum.StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class NamedToolChoice:
    name: str


ToolChoice: TypeAlias = AutoToolChoice | NamedToolChoice


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One answer to a conversation.

    `max_tokens` None means: until the model stops or the context is full. `top_logprobs` None asks for no log probabilities,
    0 for those of the chosen tokens. `template_args` go to the model's chat template (`enable_thinking`, `reasoning_effort` …).
    What was computed for a prompt with a `cache_key` is kept on the disk under that key, so that it opens again at once after a
    restart. A `preferred` request is begun before others that wait.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: SamplingChoice = SamplingChoice()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    output: OutputFormat = TextFormat()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AutoToolChoice.AUTO
    parallel_tool_calls: bool = True
    top_logprobs: int | None = None
    template_args: dict[str, Any] = field(default_factory=dict)
    cache_key: str | None = None
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """Plain continuation of a text, or of token ids; no chat template. `cache_key` as in `ChatRequest`."""

    model: str
    prompt: str | tuple[int, ...]
    sampling: SamplingChoice = SamplingChoice()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    output: OutputFormat = TextFormat()
    suffix: str | None = None
    top_logprobs: int | None = None
    cache_key: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """One vector per input; an input is a text or token ids."""

    model: str
    inputs: tuple[str | tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """`vectors` are L2-normalised float32, little endian, one `bytes` of 4 · n_embd per input."""

    vectors: tuple[bytes, ...]
    prompt_tokens: int


class FinishReason(enum.StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. Images count as the tokens they occupy; `cached_tokens` of the prompt were already computed.

    `drafted_tokens` were guessed ahead of the model, and `accepted_tokens` of them were what it then wrote.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds spent waiting in the queue, reading the prompt, and writing the answer."""

    queue_s: float
    prompt_s: float
    generation_s: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A chosen token, its log probability (natural logarithm, before temperature), and the most likely alternatives."""

    token_id: int
    text: str
    raw: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """How far the prompt has been read; `reused` of its tokens were already computed."""

    done: int
    total: int
    reused: int


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolArgumentsDelta:
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Always the last event of a stream that did not raise."""

    reason: FinishReason
    usage: Usage
    timings: Timings


GenerationEvent: TypeAlias = PrefillProgress | ReasoningDelta | TextDelta | ToolCallStarted | ToolArgumentsDelta | Finished
