"""What becomes of each field of a request: one table per endpoint.

A field is honoured; or refused, where ignoring it would change the shape or the bounds of the answer; or accepted without
effect, and then named in the `x-hearth-ignored` header of the answer. Fields that no table knows have no effect either.
A field within another is named by the way there, with [] for the places of a list. Of these the tables have only those that are
not honoured.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from app.domain.errors import UnsupportedParameter

__all__ = [
    "CHAT_FIELDS",
    "COMPLETION_FIELDS",
    "COUNT_FIELDS",
    "DETOKENIZE_FIELDS",
    "EMBEDDING_FIELDS",
    "MESSAGE_FIELDS",
    "RERANK_FIELDS",
    "RESPONSE_FIELDS",
    "TOKENIZE_FIELDS",
    "TRANSCRIPTION_FIELDS",
    "Fate",
    "FieldRule",
    "ignored_fields",
    "ignored_header",
]

_MOST_NAMED = 20
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_PLACE = re.compile(r"\[\d+\]")


class Fate(enum.Enum):
    HONOURED = "honoured"
    NO_EFFECT = "accepted without effect"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """`why` tells a person why the field is refused or has no effect. `neutral` are values that ask for what happens anyway."""

    name: str
    fate: Fate
    why: str = ""
    neutral: tuple[object, ...] = ()


_Rules: TypeAlias = tuple[FieldRule, ...]


def _honoured(*names: str) -> tuple[FieldRule, ...]:
    return tuple(FieldRule(name, Fate.HONOURED) for name in names)


def _no_effect(why: str, *names: str) -> tuple[FieldRule, ...]:
    return tuple(FieldRule(name, Fate.NO_EFFECT, why) for name in names)


def _refused(why: str, *names: str, neutral: tuple[object, ...] = ()) -> tuple[FieldRule, ...]:
    return tuple(FieldRule(name, Fate.REFUSED, why, neutral) for name in names)


_SAMPLING = _honoured(
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "xtc_threshold"),
    *("dynatemp_range", "dynatemp_exponent", "mirostat", "mirostat_tau", "mirostat_eta", "adaptive_target", "adaptive_decay"),
    *("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
    *("repeat_penalty", "repetition_penalty", "frequency_penalty", "presence_penalty", "repeat_last_n"),
    *("seed", "logit_bias", "samplers", "min_tokens", "ignore_eos", "stop"),
)
_LOADING = _honoured("context_length", "num_ctx", "options", "keep_alive", "ttl")
_ACCOUNTS = _no_effect(
    "Hearth keeps no accounts.",
    *("user", "safety_identifier", "service_tier", "prompt_cache_retention", "prompt_cache_options"),
)
_BOOKKEEPING = (*_ACCOUNTS, *_no_effect("Hearth keeps no accounts.", "metadata", "store"))
_OUTPUT = _honoured(
    *("response_format", "grammar", "json_schema", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),
    "structured_outputs",
)
_FOREIGN = (
    *_no_effect("llama.cpp has no such step.", "tfs_z", "top_a", "penalty_alpha", "smoothing_factor", "length_penalty"),
    *_no_effect(
        "It changes no answer.",
        *("cache_prompt", "id_slot", "n_keep", "n_discard", "n_cache_reuse", "cache_salt", "priority", "request_id"),
        *("timings_per_token", "penalize_nl", "provider", "route", "transforms", "usage"),
    ),
)
# What changes the prompt of a conversation, in whichever endpoint it is known.
_PROMPT_SHAPES = (
    *_refused("Choose a template in the model's settings.", "chat_template"),
    *_refused("Use /v1/chat/completions.", "chat_template_kwargs", neutral=({},)),
    *_refused("Put them into the conversation.", "documents", neutral=([],)),
    *_refused("Put it into the conversation.", "system", "instructions", neutral=("",)),
    *_refused("Use tools.", "functions", neutral=([],)),
    *_refused("Use tool_choice.", "function_call", neutral=("none", "auto")),
    *_refused("The model's projector decides.", "mm_processor_kwargs", neutral=({},)),
)


def _answer_shapes(*, limit: str = "max_tokens", output: str = "response_format", logprobs: str = "logprobs") -> _Rules:
    """What bounds an answer or changes its shape, in whichever endpoint it is known; and what to use here."""
    return (
        *_refused(f"Use {limit}.", "n_predict", "num_predict", "max_new_tokens", neutral=(-1,)),
        *_refused(f"Use {limit}.", "max_tokens", "max_completion_tokens", "max_output_tokens", neutral=(-1,)),
        *_refused(f"Use {limit}.", "t_max_predict_ms", "n_indent", neutral=(0, -1)),
        *_refused(f"Use {limit} and stop.", "options.num_predict", "options.stop"),
        *_refused("Use stop.", "stop_token_ids", "stop_sequences", neutral=([],)),
        *_refused("Use stop.", "include_stop_str_in_output", neutral=(False,)),
        *_refused("Use logit_bias.", "allowed_token_ids", "bad_words", neutral=([],)),
        *_refused("Tokens are drawn one by one.", "use_beam_search", neutral=(False,)),
        *_refused("Use /v1/chat/completions.", "n", neutral=(1,)),
        *_refused("Use /v1/completions.", "best_of", neutral=(1,)),
        *_refused("Use /v1/completions.", "echo", neutral=(False,)),
        *_refused("Use /v1/completions.", "suffix", neutral=("",)),
        *_refused(f"Use {logprobs}.", "logprobs", neutral=(False,)),
        *_refused(f"Use {logprobs}.", "top_logprobs", "n_probs", neutral=(0,)),
        *_refused("Log probabilities are those before sampling.", "post_sampling_probs", neutral=(False,)),
        *_refused("Use echo and logprobs on /v1/completions.", "prompt_logprobs"),
        *_refused("Answers are text; /tokenize gives its tokens.", "return_tokens", "return_token_ids", neutral=(False,)),
        *_refused("Answers are text; /tokenize gives its tokens.", "return_tokens_as_token_ids", neutral=(False,)),
        *_refused("Special tokens stay out of an answer's text.", "skip_special_tokens", neutral=(True,)),
        *_refused("Answers have all their fields.", "response_fields", neutral=([],)),
        *_refused("Hearth answers with text alone.", "modalities", neutral=(["text"], [])),
        *_refused("Choose adapters in the model's settings.", "lora", neutral=([],)),
        *_refused(f"Use {output}.", "response_format", neutral=({"type": "text"},)),
        *_refused(f"Use {output}.", *(rule.name for rule in _OUTPUT if rule.name != "response_format")),
        *_refused(f"Use {output}.", "format", neutral=("",)),
    )


def _table(*rules: FieldRule, refused: _Rules) -> _Rules:
    """`rules`, and those of `refused` whose fields they don't decide on."""
    decided = {rule.name for rule in rules}
    return (*rules, *(rule for rule in refused if rule.name not in decided))


_STREAMS = (
    *_no_effect("Chunks are not padded.", "stream_options.include_obfuscation"),
    *_no_effect("Usage comes with the last chunk.", "stream_options.continuous_usage_stats"),
)

_CONVERSATION = _honoured(
    *("tools", "reasoning_effort", "reasoning", "thinking", "think", "enable_thinking", "include_reasoning"),
    *("chat_template_kwargs", "add_generation_prompt", "continue_final_message"),
    *("reasoning_budget", "thinking_budget", "thinking_token_budget", "thinking_budget_tokens"),
)
_MESSAGES = (
    *_refused("Use tool_calls.", "messages[].function_call"),
    *_refused("Hearth makes no sound that could be referred to.", "messages[].audio"),
    *_refused("Send text, pictures or sound.", "messages[].content[].file"),
    *_refused("Only functions can be called.", "messages[].tool_calls[].custom", "tools[].custom", "tool_choice.custom"),
    *_no_effect(
        "What prompts have in common is computed once by itself.",
        *("messages[].content[].prompt_cache_breakpoint", "messages[].content[].cache_control"),
    ),
)

CHAT_FIELDS = _table(
    *_honoured("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "prompt_cache_key"),
    *_SAMPLING,
    *_honoured("logprobs", "top_logprobs", "tool_choice", "parallel_tool_calls"),
    *_CONVERSATION,
    *_honoured("return_progress"),
    *_LOADING,
    *_BOOKKEEPING,
    *_no_effect("The model's own style decides.", "verbosity"),
    *_no_effect("A prediction only saves time.", "prediction"),
    *_no_effect("Hearth does not search the web.", "web_search_options"),
    *_no_effect("Sound is only made when modalities asks for it, which is refused.", "audio"),
    *_refused("Use include_reasoning: false to leave it out.", "reasoning_format", neutral=("auto", "deepseek", "parsed")),
    *_refused("Reasoning never stands in the content.", "separate_reasoning", neutral=(True,)),
    *_refused("Hearth has no moderation model.", "moderation"),
    *_MESSAGES,
    *_OUTPUT,
    *_STREAMS,
    *_FOREIGN,
    refused=(*_PROMPT_SHAPES, *_answer_shapes()),
)

COMPLETION_FIELDS = _table(
    *_honoured("model", "prompt", "suffix", "echo", "n", "best_of", "stream", "stream_options", "max_tokens", "logprobs"),
    *_SAMPLING,
    *_honoured("prompt_cache_key", "return_progress"),
    *_LOADING,
    *_BOOKKEEPING,
    *_OUTPUT,
    *_STREAMS,
    *_FOREIGN,
    refused=_answer_shapes(),
)

_ANTHROPIC_PROMPT = (
    *_honoured("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "output_format"),
    *_LOADING,
    *_no_effect("Whatever prompts begin with is remembered by itself.", "cache_control", "diagnostics"),
    *_no_effect("Hearth keeps no accounts.", "user_profile_id", "workspace_id", "billing_policy"),
    *_no_effect("Hearth is as fast as it can.", "speed"),
    *_no_effect("Nothing is taken out of a conversation; one that is too long is refused.", "context_management"),
    *_refused("Hearth calls no servers. Give their tools as tools.", "mcp_servers", neutral=([],)),
    *_refused("Send the whole conversation.", "thread"),
)

MESSAGE_FIELDS = _table(
    *_ANTHROPIC_PROMPT,
    *_honoured("max_tokens", "stop_sequences", "stream", "prompt_cache_key"),
    *_SAMPLING,
    *_no_effect("Hearth keeps no accounts.", "metadata", "service_tier", "inference_geo"),
    *_no_effect("Hearth runs no code for a model.", "container"),
    *_no_effect("Hearth declines nothing.", "fallbacks", "fallback_credit_token"),
    *_refused("Ask for a summary in a message.", "compaction"),
    *_FOREIGN,
    refused=(*_PROMPT_SHAPES, *_answer_shapes(output="output_config.format", logprobs="/v1/chat/completions")),
)

COUNT_FIELDS = _table(
    *_ANTHROPIC_PROMPT,
    *_no_effect("The count is of the conversation as it was sent.", "compaction"),
    refused=_PROMPT_SHAPES,
)

RESPONSE_FIELDS = _table(
    *_honoured("model", "input", "instructions", "previous_response_id", "store", "stream", "include", "prompt_cache_key"),
    *_honoured(
        "background", "max_output_tokens", "metadata", "top_logprobs", "truncation", "parallel_tool_calls", "tool_choice"
    ),
    FieldRule(
        "tools",
        Fate.HONOURED,
        "Functions, also in namespaces. web_search, image_generation, tool_search, local_shell, shell, apply_patch and custom "
        "tools are left out, and named in x-hearth-ignored, where they stand beside functions and the model is free not to use "
        "them; by themselves or with tool_choice required they are refused, and so are all others always.",
    ),
    *_honoured("text"),
    *_no_effect("The model's own style decides.", "text.verbosity", "verbosity"),
    *_no_effect("All functions are offered at once, and called by the model alone.", "tools[].defer_loading"),
    *_no_effect(
        "All functions are offered at once, and called by the model alone.", "tools[].allowed_callers", "tools[].async"
    ),
    *_no_effect("The model reads results as they are.", "tools[].output_schema"),
    *_no_effect("The model's template knows how much of earlier reasoning it is to see.", "reasoning.context"),
    *_no_effect("There is only one.", "reasoning.mode"),
    FieldRule("max_tool_calls", Fate.HONOURED, "It bounds the calls of hosted tools, and Hearth has none."),
    FieldRule(
        "reasoning",
        Fate.HONOURED,
        "Asked for a summary, Hearth gives the reasoning itself in the summary's place. reasoning.encrypted_content is the "
        "reasoning too, packed so that a client without a store can hand it back; that of other servers has no effect.",
    ),
    *_honoured("reasoning_effort", "thinking", "think", "enable_thinking", "include_reasoning"),
    *_honoured("reasoning_budget", "thinking_budget", "thinking_token_budget", "thinking_budget_tokens"),
    *_SAMPLING,
    *_OUTPUT,
    *_LOADING,
    *_ACCOUNTS,
    *_no_effect("Usage is always told, and nothing is obfuscated on one's own computer.", "stream_options"),
    *_no_effect("What is in the background begins as soon as the model has room.", "background_options"),
    *_no_effect("Hearth has no such programs.", "access_programs"),
    *_no_effect("The instructions decide.", "personality"),
    *_refused("Use previous_response_id.", "conversation"),
    *_refused("Use truncation.", "context_management", neutral=([],)),
    *_refused("Send instructions and input.", "prompt"),
    *_refused("Hearth has no moderation model.", "moderation"),
    *_refused(
        "Pictures are read as they are.",
        "image",
        neutral=({}, {"context_compression": "auto"}, {"context_compression": "disabled"}),
    ),
    *_refused("Use input.", "messages"),
    *_FOREIGN,
    refused=(*_PROMPT_SHAPES, *_answer_shapes(limit="max_output_tokens", output="text.format", logprobs="top_logprobs")),
)

_FOREIGN_CUTS = (
    *_refused('Use truncate: "end" or "start".', "truncate_prompt_tokens"),
    *_refused('Use truncate: "start".', "truncation_direction", neutral=("Right", "right")),
)

EMBEDDING_FIELDS: _Rules = (
    *_honoured("model", "input", "encoding_format", "dimensions", "truncate"),
    *_LOADING,
    *_BOOKKEEPING,
    *_FOREIGN_CUTS,
    *_no_effect("Put what the model wants to read before a text into the text.", "input_type", "task", "prompt_name"),
    *_refused("Vectors always have length 1.", "normalize", "normalized", neutral=(True,)),
    *_refused("Vectors always have length 1.", "embd_normalize", neutral=(2,)),
    *_refused("Use encoding_format.", "embedding_type", "output_dtype", neutral=("float",)),
    *_refused("Use dimensions.", "output_dimension"),
)

RERANK_FIELDS: _Rules = (
    *_honoured("model", "query", "documents", "top_n", "return_documents", "truncate"),
    *_LOADING,
    *_BOOKKEEPING,
    *_FOREIGN_CUTS,
    *_refused("Use top_n.", "top_k"),
    *_refused("Use return_documents.", "return_text", neutral=(False,)),
    *_refused("Scores always go from 0 to 1.", "raw_scores", neutral=(False,)),
    *_refused("A document is read whole; use truncate to cut one.", "max_tokens_per_doc", "max_chunks_per_doc"),
    *_refused("A document is read whole; use truncate to cut one.", "max_chunk_per_doc", "overlap_tokens"),
    *_refused("Send the text to rank as the document.", "rank_fields", neutral=(["text"], [])),
)

TOKENIZE_FIELDS = _table(
    *_honoured("model", "content", "prompt", "messages", "add_special", "add_special_tokens", "parse_special"),
    *_honoured("with_pieces", "return_token_strs"),
    *_CONVERSATION,
    *_MESSAGES,
    refused=_PROMPT_SHAPES,
)

DETOKENIZE_FIELDS: _Rules = _honoured("model", "tokens")

TRANSCRIPTION_FIELDS: _Rules = (
    *_honoured("model", "language", "prompt", "response_format", "temperature", "stream", "include"),
    *_LOADING,
    *_no_effect("The model hears a recording as a whole.", "chunking_strategy"),
    *_refused("Use prompt.", "keywords"),
    *_refused("Use language.", "languages"),
    *_refused("Hearth does not tell speakers apart.", "known_speaker_names", "known_speaker_references"),
    *_refused("The models that Hearth runs don't say when a word was spoken.", "timestamp_granularities"),
)


def ignored_fields(extra: Mapping[str, Any] | None, rules: _Rules) -> tuple[str, ...]:
    """The fields of `extra` that have no effect, as the rules name them. Raises UnsupportedParameter for one that must not be
    ignored."""
    known = {rule.name: rule for rule in rules}
    ignored: dict[str, None] = {}
    for way, value in (extra or {}).items():
        if value is None:
            continue
        name = _PLACE.sub("[]", way)
        rule = known.get(name)
        if rule is not None and rule.fate is Fate.REFUSED:
            if value not in rule.neutral:
                raise UnsupportedParameter(f"'{way}' is not supported. {rule.why}", param=way)
            continue
        ignored[name] = None
    return tuple(ignored)


def ignored_header(names: tuple[str, ...]) -> dict[str, str]:
    """The answer's header that names them; odd names from a client stay out of it."""
    plain = [name for name in names if _NAME.fullmatch(name)][:_MOST_NAMED]
    return {"x-hearth-ignored": ", ".join(plain)} if plain else {}
