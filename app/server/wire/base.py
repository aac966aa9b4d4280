"""What all wire models share, and the fields that chat and completions share."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.domain.durations import keep_alive_s
from app.domain.errors import InvalidRequest
from app.domain.generation import SamplerStep, SamplingChoice

__all__ = [
    "Items",
    "LoadingFields",
    "Part",
    "SamplingFields",
    "StreamOptions",
    "TextOrTokens",
    "TokenId",
    "WireRequest",
    "texts_or_tokens",
    "token_limit",
    "undeclared",
]

T = TypeVar("T")

# Every list of a request is one of these: its first mistake is the last that is looked for. Pydantic would write down one per
# item and branch of a union, as many as fit into a body.
Items: TypeAlias = Annotated[list[T], Field(fail_fast=True)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
TextOrTokens: TypeAlias = str | tuple[int, ...]
_ContextLength = Annotated[int, Field(ge=1)]
_Breakers = Annotated[Items[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=16)]

_UNLIMITED = -1
# llama.cpp's seeds are 32 bits wide, and the last of them means "draw one".
_SEEDS = 2**32 - 1


class Part(BaseModel):
    """A piece of a request. Fields that are not declared are kept for `undeclared`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)


class WireRequest(BaseModel):
    """A request's body. Fields that are not declared are kept for `undeclared`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=512, description="Id of an installed model.")]


class LoadingOptions(Part):
    """What Ollama's clients put here. The rest of it has no effect."""

    num_ctx: _ContextLength | None = None


class LoadingFields(WireRequest):
    """How the model is loaded, and how long it stays in memory afterwards, as other local servers ask for it."""

    context_length: Annotated[
        _ContextLength | None,
        Field(description="Tokens of context the model must have at least; it is loaded again where it has less."),
    ] = None
    num_ctx: Annotated[_ContextLength | None, Field(description="The same; context_length wins.")] = None
    options: Annotated[LoadingOptions | None, Field(description="The same in Ollama's place: its num_ctx.")] = None
    keep_alive: Annotated[
        str | int | float | None,
        Field(description="Seconds or a duration such as 5m; 0 unloads the model at once, -1 keeps it."),
    ] = None
    ttl: Annotated[float, Field(ge=-1, description="Seconds; keep_alive wins.")] | None = None

    @property
    def wanted_ctx(self) -> int | None:
        """None leaves it to the settings."""
        nested = self.options.num_ctx if self.options is not None else None
        return next((given for given in (self.context_length, self.num_ctx, nested) if given is not None), None)

    @property
    def kept_alive_s(self) -> float | None:
        """None leaves it to the settings. Raises InvalidRequest."""
        if self.keep_alive is None:
            return keep_alive_s(self.ttl) if self.ttl is not None else None
        try:
            return keep_alive_s(self.keep_alive)
        except ValueError as error:
            raise InvalidRequest(str(error), param="keep_alive") from error


class StreamOptions(Part):
    include_usage: bool | None = None


class SamplingFields(LoadingFields):
    """Fields left out take what the model's file recommends, else the defaults of `SamplingParams`. Names are OpenAI's where it
    has one, else llama-server's."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    dynatemp_range: Annotated[float, Field(ge=0, le=5)] | None = None
    dynatemp_exponent: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    typical_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_n_sigma: Annotated[float, Field(ge=-1, le=100)] | None = None
    xtc_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    xtc_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = None
    mirostat_tau: Annotated[float, Field(ge=0, le=100)] | None = None
    mirostat_eta: Annotated[float, Field(ge=0, le=1)] | None = None
    adaptive_target: Annotated[float, Field(ge=-1, le=1)] | None = None
    adaptive_decay: Annotated[float, Field(ge=0, le=0.99)] | None = None
    dry_multiplier: Annotated[float, Field(ge=0, le=100)] | None = None
    dry_base: Annotated[float, Field(ge=1, le=100)] | None = None
    dry_allowed_length: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    dry_penalty_last_n: Annotated[int, Field(ge=-1, le=1_000_000_000)] | None = None
    dry_sequence_breakers: _Breakers | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10, description="vLLM's name for repeat_penalty.")] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=1_000_000_000)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(fail_fast=True, max_length=1024)] | None
    ) = None
    samplers: str | Annotated[Items[str], Field(max_length=16)] | None = Field(None, description="The order of the steps.")
    min_tokens: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    ignore_eos: bool | None = None
    stop: str | Annotated[Items[str], Field(max_length=16)] | None = None
    prompt_cache_key: (
        Annotated[
            str, Field(max_length=512, description="What was computed for the prompt is kept on the disk under this name.")
        ]
        | None
    ) = None

    def cache_key(self, choice: int = 0) -> str | None:
        """One kept prompt serves all answers to it."""
        return f"api {self.prompt_cache_key}" if self.prompt_cache_key and choice == 0 else None

    def sampling(self, choice: int = 0) -> SamplingChoice:
        """How the `choice`-th answer is sampled: with the seed and the next ones, so that all answers can be had again."""
        given: dict[str, Any] = {name: value for name in _AS_GIVEN if (value := getattr(self, name)) is not None}
        other_name = self.repetition_penalty
        if other_name is not None and given.setdefault("repeat_penalty", other_name) != other_name:
            raise InvalidRequest("'repeat_penalty' and 'repetition_penalty' say different things.", param="repetition_penalty")
        if self.top_k is not None:
            given["top_k"] = max(self.top_k, 0)
        if self.seed is not None:
            given["seed"] = (self.seed + choice) % _SEEDS
        if self.logit_bias:
            given["logit_bias"] = tuple(_bias(key, value) for key, value in self.logit_bias.items() if value)
        if self.dry_sequence_breakers is not None:
            given["dry_sequence_breakers"] = tuple(self.dry_sequence_breakers)
        if self.samplers is not None:
            given["samplers"] = _steps(self.samplers)
        return SamplingChoice(**given)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)


def undeclared(body: BaseModel, place: str = "") -> dict[str, Any]:
    """What a request says that no model declares, by the way there: `messages[0].content[1].cache_control`."""
    found: dict[str, Any] = {}
    _look_into(body, place, found)
    return found


def token_limit(**limits: int | None) -> int | None:
    """The tightest of the fields given; -1 sets no limit. Raises InvalidRequest for an answer of no token."""
    for name, limit in limits.items():
        if limit == 0:
            raise InvalidRequest(f"'{name}' must be at least 1, or -1 for no limit.", param=name)
    return min((limit for limit in limits.values() if limit is not None and limit != _UNLIMITED), default=None)


def texts_or_tokens(given: str | list[str] | list[int] | list[list[int]]) -> tuple[TextOrTokens, ...]:
    """One text, several, one list of token ids, or several: the four ways to write a prompt or an input."""
    if isinstance(given, str):
        return (given,)
    ids = tuple(item for item in given if isinstance(item, int))
    if ids:
        return (ids,)
    return tuple(item if isinstance(item, str) else tuple(item) for item in given if not isinstance(item, int))


# Those that are passed on as they are.
_AS_GIVEN = (frozenset(SamplingFields.model_fields) & {field.name for field in fields(SamplingChoice)}) - {
    *("top_k", "seed", "logit_bias", "dry_sequence_breakers", "samplers")
}
# Asked for by adaptive_target alone; it always draws last.
_ADAPTIVE = frozenset({"adaptive_p", "adaptive-p", "adaptivep", "a"})


def _steps(names: str | list[str]) -> tuple[SamplerStep, ...]:
    """Names in a list, or llama.cpp's letters in a string."""
    steps = []
    for name in names:
        if name in _ADAPTIVE:
            continue
        try:
            steps.append(SamplerStep.named(name))
        except ValueError as error:
            known = ", ".join(SamplerStep)
            raise InvalidRequest(f"'samplers' knows no step '{name[:50]}'. There are: {known}.", param="samplers") from error
    return tuple(steps)


def _bias(key: str, value: float) -> tuple[int, float]:
    if not (key.isascii() and key.isdigit() and len(key) < 10):
        raise InvalidRequest(f"'logit_bias' maps token ids to numbers; '{key[:50]}' is no token id.", param="logit_bias")
    return int(key), value


def _look_into(body: BaseModel, place: str, found: dict[str, Any]) -> None:
    if body.__pydantic_extra__:
        found |= {f"{place}{name}": value for name, value in body.__pydantic_extra__.items()}
    # Long conversations come here for each of their parts: most fields of those are not set.
    for name, value in body.__dict__.items():
        if value is None or isinstance(value, str):
            continue
        if isinstance(value, BaseModel):
            _look_into(value, f"{place}{_spelling(body, name)}.", found)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    _look_into(item, f"{place}{_spelling(body, name)}[{index}].", found)


def _spelling(body: BaseModel, name: str) -> str:
    return type(body).model_fields[name].alias or name
