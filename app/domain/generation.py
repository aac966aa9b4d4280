"""What both front ends ask for and what comes back: requests, and one closed union of events."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

from app.domain.messages import Message

__all__ = [
    "AutoToolChoice",
    "ChatRequest",
    "ChoiceFormat",
    "CompletionRequest",
    "Echo",
    "Effort",
    "EmbeddingRequest",
    "EmbeddingResult",
    "FinishReason",
    "Finished",
    "GenerationEvent",
    "GrammarFormat",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "NamedToolChoice",
    "OutputFormat",
    "Pooling",
    "PrefillProgress",
    "ReasoningChoice",
    "ReasoningDelta",
    "RegexFormat",
    "RerankRequest",
    "RerankResult",
    "SamplerStep",
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
    "Truncation",
    "Usage",
]


class SamplerStep(enum.StrEnum):
    """A step on the way from logits to a token, by llama.cpp's name for it."""

    PENALTIES = "penalties"
    DRY = "dry"
    TOP_N_SIGMA = "top_n_sigma"
    TOP_K = "top_k"
    TYPICAL_P = "typ_p"
    TOP_P = "top_p"
    MIN_P = "min_p"
    XTC = "xtc"
    TEMPERATURE = "temperature"

    @classmethod
    def named(cls, name: str) -> SamplerStep:
        """By any of the names that llama.cpp takes: `top_k`, `top-k`, `topk`, `k`. Raises ValueError."""
        plain = name.strip().lower().replace("-", "").replace("_", "")
        return cls(_STEP_NAMES.get(plain, plain))

    @classmethod
    def is_order(cls, steps: Sequence[SamplerStep]) -> bool:
        """Whether the steps can be taken one after the other: each once, PENALTIES and DRY before all others."""
        edits = (cls.PENALTIES, cls.DRY)
        n_edits = sum(step in edits for step in steps)
        return len(set(steps)) == len(steps) and all(step in edits for step in steps[:n_edits])


# llama.cpp's names without dashes, its letters, and what else is common.
_STEP_NAMES = {step.replace("_", ""): step.value for step in SamplerStep} | {
    "e": "penalties",
    "d": "dry",
    "s": "top_n_sigma",
    "k": "top_k",
    "y": "typ_p",
    "typ": "typ_p",
    "typical": "typ_p",
    "typicalp": "typ_p",
    "p": "top_p",
    "nucleus": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
    "temp": "temperature",
}


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. Defaults are llama.cpp's; `temperature` 0 takes the most likely token after biases,
    penalties and DRY, whatever else is set.

    `seed` None draws a new one for each request. `logit_bias` maps token ids to what is added to their logits, before anything
    else. `samplers` is the order of the steps, PENALTIES and DRY first; a step that is not in it is not taken.

    What switches a step off: `dynatemp_range` 0; `top_k` 0; `top_p` 1; `min_p` 0; `typical_p` 1; `top_n_sigma` 0 or less;
    `xtc_probability` 0 or `xtc_threshold` above 0.5; `dry_multiplier` 0; `repeat_penalty` 1, the other penalties 0. The last n
    tokens they look at are those of prompt and answer; -1 means all of them. `mirostat` 1 or 2 takes the place of all steps but
    biases, penalties, DRY and temperature. `adaptive_target` from 0 to 1 draws tokens near that probability; below 0 it is off.

    `min_tokens` is how many tokens an answer must have before the model may end it; with `ignore_eos` it never may. Neither
    keeps a stop string, `max_tokens` or a grammar that has been completed from ending it.
    """

    temperature: float = 0.8
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    adaptive_target: float = -1.0
    adaptive_decay: float = 0.9
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = 64
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_last_n: int = 64
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    samplers: tuple[SamplerStep, ...] = tuple(SamplerStep)
    min_tokens: int = 0
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class SamplingChoice:
    """What a caller wants of sampling. None leaves a value to the model: to what its file recommends, else to the defaults."""

    temperature: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    top_n_sigma: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    adaptive_target: float | None = None
    adaptive_decay: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: tuple[str, ...] | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repeat_last_n: int | None = None
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    samplers: tuple[SamplerStep, ...] | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None

    def over(self, defaults: SamplingParams) -> SamplingParams:
        """The defaults, changed where something was chosen."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(defaults, **{name: value for name, value in chosen.items() if value is not None})

    def else_as(self, other: SamplingChoice) -> SamplingChoice:
        """This choice, and the other's where this one leaves a value open."""
        left = {field.name: getattr(other, field.name) for field in fields(self) if getattr(self, field.name) is None}
        return replace(self, **left)


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Free text."""


@dataclass(frozen=True, slots=True)
class JsonObjectFormat:
    """Any JSON object."""


@dataclass(frozen=True, slots=True)
class JsonSchemaFormat:
    """JSON that conforms to `schema`, a JSON Schema as JSON text.

    `strict` refuses a schema of which a part can't be enforced while the answer is written; otherwise the finished answer is
    checked. `param` is what the request calls it, here and below.
    """

    schema: str
    name: str = "response"
    strict: bool = False
    param: str = "response_format"


@dataclass(frozen=True, slots=True)
class RegexFormat:
    """Text that `pattern`, a regular expression of Rust's kind, matches as a whole."""

    pattern: str
    param: str


@dataclass(frozen=True, slots=True)
class ChoiceFormat:
    """One of `choices`."""

    choices: tuple[str, ...]
    param: str


@dataclass(frozen=True, slots=True)
class GrammarFormat:
    """Text of a grammar, in llama.cpp's GBNF or in llguidance's dialect of Lark."""

    grammar: str
    param: str


OutputFormat: TypeAlias = TextFormat | JsonObjectFormat | JsonSchemaFormat | RegexFormat | ChoiceFormat | GrammarFormat


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
    """Of all tools, those with these names may be called; with `required`, one of them must be."""

    names: tuple[str, ...]
    required: bool = True

    @classmethod
    def of(cls, name: str) -> NamedToolChoice:
        return cls((name,))


ToolChoice: TypeAlias = AutoToolChoice | NamedToolChoice


class Effort(enum.StrEnum):
    """How much a model is to think, by OpenAI's names and those of others.

    NONE: it answers at once. ON: it thinks, as much as it does by itself.
    """

    NONE = "none"
    ON = "on"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class ReasoningChoice:
    """What a caller wants of reasoning; None leaves it to the model's settings, else to its template.

    `budget` is how many tokens it may take: there it is closed, and the answer begins; -1 sets no bound. A model that can't
    reason, or can't be told how much, does as it always does.
    """

    effort: Effort | None = None
    budget: int | None = None

    def over(self, default: ReasoningChoice) -> ReasoningChoice:
        """This choice, and the default where nothing was chosen."""
        return ReasoningChoice(
            self.effort if self.effort is not None else default.effort,
            self.budget if self.budget is not None else default.budget,
        )


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One answer to a conversation.

    A last message of the assistant is gone on with where `continues` is set, else answered. `max_tokens` None means: until the
    model stops or the context is full. `top_logprobs` None asks for no log probabilities,
    0 for those of the chosen tokens. `template_args` go to the model's chat template; they win over `reasoning`.
    What was computed for a prompt with a `cache_key` is kept on the disk under that key, so that it opens again at once after a
    restart. A `preferred` request is begun before others that wait.
    `keep_alive_s` is how long the model stays in memory after its last answer, -1 for ever; None leaves that to the settings.
    `n_ctx` is the context, in tokens, that the model must have at least: it is loaded again where it has less.
    Where no message is the system's, what a person set for the model is said first, unless `takes_system_prompt` is off.
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
    continues: bool = True
    reasoning: ReasoningChoice = ReasoningChoice()
    top_logprobs: int | None = None
    template_args: dict[str, Any] = field(default_factory=dict)
    cache_key: str | None = None
    preferred: bool = False
    takes_system_prompt: bool = True
    keep_alive_s: float | None = None
    n_ctx: int | None = None


class Echo(enum.Enum):
    """Whether an answer begins with its prompt: as a text, or token by token with `top_logprobs`, which that needs."""

    NONE = "none"
    TEXT = "text"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """Plain continuation of a text, or of token ids; no chat template. `cache_key`, `keep_alive_s` and `n_ctx` as in
    `ChatRequest`.
    """

    model: str
    prompt: str | tuple[int, ...]
    sampling: SamplingChoice = SamplingChoice()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    output: OutputFormat = TextFormat()
    suffix: str | None = None
    top_logprobs: int | None = None
    echo: Echo = Echo.NONE
    cache_key: str | None = None
    keep_alive_s: float | None = None
    n_ctx: int | None = None


class Pooling(enum.StrEnum):
    """How the vectors of an input's tokens become one. NONE leaves them as they are; RANK makes a score of them."""

    NONE = "none"
    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    RANK = "rank"


class Truncation(enum.StrEnum):
    """What becomes of an input that is too long: it is refused, or loses its end or its start."""

    NONE = "none"
    END = "end"
    START = "start"


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """One vector per input; an input is a text or token ids. `keep_alive_s` and `n_ctx` as in `ChatRequest`."""

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    truncation: Truncation = Truncation.NONE
    keep_alive_s: float | None = None
    n_ctx: int | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """`vectors` are L2-normalised float32, little endian, one `bytes` of 4 · n_embd per input."""

    vectors: tuple[bytes, ...]
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """How well each document answers the query. `keep_alive_s` and `n_ctx` as in `ChatRequest`."""

    model: str
    query: str
    documents: tuple[str, ...]
    truncation: Truncation = Truncation.NONE
    keep_alive_s: float | None = None
    n_ctx: int | None = None


@dataclass(frozen=True, slots=True)
class RerankResult:
    """One score per document, in their order, from 0 (does not answer the query) to 1."""

    scores: tuple[float, ...]
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
    """A chosen token, its log probability (natural logarithm, before temperature), and the most likely alternatives.

    `logprob` is not a number for a token that nothing comes before.
    """

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
    """Always the last event of a stream that did not raise.

    `stopped_by` is the stop string that ended the answer, if one did. `schema_error` says how the answer fails the schema that
    was asked for, in a part that could not be enforced.
    """

    reason: FinishReason
    usage: Usage
    timings: Timings
    schema_error: str | None = None
    stopped_by: str | None = None


GenerationEvent: TypeAlias = PrefillProgress | ReasoningDelta | TextDelta | ToolCallStarted | ToolArgumentsDelta | Finished
