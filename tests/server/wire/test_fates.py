from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types import chat, completion_create_params, embedding_create_params
from openai.types.audio import transcription_create_params, translation_create_params
from openai.types.responses import input_token_count_params, response_create_params
from pydantic import BaseModel
from typing_extensions import is_typeddict

from app.domain.errors import UnsupportedParameter
from app.server.wire.anthropic.body import CountBody, MessageBody
from app.server.wire.audio import TranscriptionBody
from app.server.wire.base import WireRequest, undeclared
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
    Fate,
    FieldRule,
    ignored_fields,
    ignored_header,
)
from app.server.wire.rerank import RerankBody
from app.server.wire.responses.body import ResponseBody
from app.server.wire.tokens import DetokenizeBody, TokenizeBody
from tests.server.serving import serving

CLIENTS = (
    (chat.completion_create_params.CompletionCreateParamsBase, CHAT_FIELDS),
    (completion_create_params.CompletionCreateParamsBase, COMPLETION_FIELDS),
    (embedding_create_params.EmbeddingCreateParams, EMBEDDING_FIELDS),
    (response_create_params.ResponseCreateParamsBase, RESPONSE_FIELDS),
    (input_token_count_params.InputTokenCountParams, RESPONSE_FIELDS),
    (message_create_params.MessageCreateParamsBase, MESSAGE_FIELDS),
    (message_count_tokens_params.MessageCountTokensParams, COUNT_FIELDS),
    (beta_create_params.MessageCreateParamsBase, MESSAGE_FIELDS),
    (beta_count_tokens_params.MessageCountTokensParams, COUNT_FIELDS),
    (transcription_create_params.TranscriptionCreateParamsBase, TRANSCRIPTION_FIELDS),
    (translation_create_params.TranslationCreateParams, TRANSCRIPTION_FIELDS),
)
TABLES = (
    (ChatBody, CHAT_FIELDS),
    (CompletionBody, COMPLETION_FIELDS),
    (EmbeddingBody, EMBEDDING_FIELDS),
    (RerankBody, RERANK_FIELDS),
    (ResponseBody, RESPONSE_FIELDS),
    (MessageBody, MESSAGE_FIELDS),
    (CountBody, COUNT_FIELDS),
    (TranscriptionBody, TRANSCRIPTION_FIELDS),
    (TokenizeBody, TOKENIZE_FIELDS),
    (DetokenizeBody, DETOKENIZE_FIELDS),
)


@pytest.mark.parametrize(("model", "rules"), TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_field_is_honoured_exactly_where_the_wire_model_has_it(
    model: type[WireRequest], rules: tuple[FieldRule, ...]
) -> None:
    assert {rule.name for rule in rules if rule.fate is Fate.HONOURED} == set(model.model_fields)


@pytest.mark.parametrize(("model", "rules"), TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_field_has_one_fate_and_a_reason_unless_it_is_honoured(
    model: type[WireRequest], rules: tuple[FieldRule, ...]
) -> None:
    names = [rule.name for rule in rules]
    assert len(names) == len(set(names))
    assert all(rule.why for rule in rules if rule.fate is not Fate.HONOURED)


# What the official clients send as headers, the file of a form, and what is set for a stream alone.
ELSEWHERE = {"betas", "file", "stream"}


@pytest.mark.parametrize(("params", "rules"), CLIENTS, ids=lambda value: getattr(value, "__module__", ""))
def test_the_fate_of_every_field_that_the_official_clients_send_is_decided(params: Any, rules: tuple[FieldRule, ...]) -> None:
    assert set(params.__annotations__) - ELSEWHERE <= {rule.name for rule in rules}


@pytest.mark.parametrize(
    ("params", "model", "rules"),
    [
        (chat.completion_create_params.CompletionCreateParamsBase, ChatBody, CHAT_FIELDS),
        (completion_create_params.CompletionCreateParamsBase, CompletionBody, COMPLETION_FIELDS),
        (embedding_create_params.EmbeddingCreateParams, EmbeddingBody, EMBEDDING_FIELDS),
    ],
    ids=["chat", "completions", "embeddings"],
)
def test_fields_within_fields_have_a_fate_too(params: Any, model: type[BaseModel], rules: tuple[FieldRule, ...]) -> None:
    declared = set(ways_of(model))
    decided = tuple(rule.name for rule in rules if rule.fate is not Fate.HONOURED)
    undecided = [
        way
        for way in ways_of(params)
        if way not in declared and not any(way == name or way.startswith((f"{name}.", f"{name}[")) for name in decided)
    ]
    assert undecided == []


def ways_of(holder: Any, place: str = "") -> Iterator[str]:
    """The ways to all fields of a TypedDict or a pydantic model: `messages[].content[].text`."""
    if inspect.isclass(holder) and issubclass(holder, BaseModel):
        hints = {field.alias or name: field.annotation for name, field in holder.model_fields.items()}
    else:
        hints = get_type_hints(holder)
    for name, hint in hints.items():
        yield f"{place}{name}"
        for way, inner in holders_in(hint, f"{place}{name}"):
            yield from ways_of(inner, f"{way}.")


def holders_in(hint: Any, way: str) -> Iterator[tuple[str, Any]]:
    if is_typeddict(hint) or (inspect.isclass(hint) and issubclass(hint, BaseModel)):
        yield way, hint
        return
    repeats = inspect.isclass(get_origin(hint)) and hasattr(get_origin(hint), "__iter__") and get_origin(hint) is not dict
    for argument in get_args(hint):
        yield from holders_in(argument, f"{way}[]" if repeats else way)


def test_what_no_model_declares_is_named_by_the_way_there() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]
    body = ChatBody.model_validate(
        {
            "model": "ember",
            "messages": [{"role": "user", "content": parts, "mood": "fine"}],
            "stream_options": {"include_obfuscation": False},
            "extra": 1,
        }
    )
    extra = undeclared(body)
    assert set(extra) == {
        "extra",
        "messages[0].mood",
        "messages[0].content[1].cache_control",
        "stream_options.include_obfuscation",
    }
    names = ignored_fields(extra, CHAT_FIELDS)
    assert sorted(names) == [
        "extra",
        "messages[].content[].cache_control",
        "messages[].mood",
        "stream_options.include_obfuscation",
    ]
    assert ignored_header(names)["x-hearth-ignored"].count(",") == 3


@pytest.mark.parametrize("name", ["audio", "function_call"])
def test_a_field_that_must_not_be_ignored_is_found_wherever_it_stands(name: str) -> None:
    message = {"role": "assistant", "content": "a", name: {"id": "x"}}
    body = ChatBody.model_validate({"model": "ember", "messages": [{"role": "user", "content": "b"}, message]})
    with pytest.raises(UnsupportedParameter) as caught:
        ignored_fields(undeclared(body), CHAT_FIELDS)
    assert caught.value.param == f"messages[1].{name}"


def test_fields_without_effect_and_unknown_ones_are_told() -> None:
    assert ignored_fields({"user": "me", "num_ctx": 9, "store": None}, CHAT_FIELDS) == ("user", "num_ctx")


@pytest.mark.parametrize(("name", "value"), [("modalities", ["text", "audio"]), ("functions", [{}])])
def test_a_field_that_would_change_the_answer_is_refused(name: str, value: object) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        ignored_fields({name: value}, CHAT_FIELDS)
    assert caught.value.param == name


@pytest.mark.parametrize(("name", "value"), [("modalities", ["text"]), ("function_call", "none")])
def test_a_refused_field_that_asks_for_nothing_is_no_matter(name: str, value: object) -> None:
    assert ignored_fields({name: value}, CHAT_FIELDS) == ()


# What some endpoint bounds or shapes its answers with.
SHAPES = (
    *("max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict", "options.num_predict"),
    *("stop_sequences", "stop_token_ids", "allowed_token_ids", "use_beam_search", "n", "best_of", "echo", "suffix"),
    *("logprobs", "top_logprobs", "response_format", "grammar", "json_schema", "structured_outputs"),
)
PROMPTS = ("functions", "documents", "chat_template", "chat_template_kwargs", "system")


@pytest.mark.parametrize("rules", [CHAT_FIELDS, COMPLETION_FIELDS, MESSAGE_FIELDS, RESPONSE_FIELDS])
def test_what_shapes_an_answer_anywhere_is_nowhere_ignored(rules: tuple[FieldRule, ...]) -> None:
    fates = {rule.name: rule.fate for rule in rules}
    assert {name for name in SHAPES if fates.get(name) not in {Fate.HONOURED, Fate.REFUSED}} == set()


@pytest.mark.parametrize("rules", [CHAT_FIELDS, MESSAGE_FIELDS, COUNT_FIELDS, RESPONSE_FIELDS, TOKENIZE_FIELDS])
def test_what_shapes_a_prompt_anywhere_is_nowhere_ignored(rules: tuple[FieldRule, ...]) -> None:
    fates = {rule.name: rule.fate for rule in rules}
    assert {name for name in PROMPTS if fates.get(name) not in {Fate.HONOURED, Fate.REFUSED}} == set()


def test_odd_names_stay_out_of_the_header() -> None:
    assert ignored_header(("user", "a\r\nset-cookie: x", "ünï", "x" * 99)) == {"x-hearth-ignored": "user"}
    assert ignored_header(("\n",)) == {}
    assert len(ignored_header(tuple(f"field{index}" for index in range(500)))["x-hearth-ignored"]) < 300


@pytest.mark.anyio
async def test_the_answer_names_what_had_no_effect_and_a_refusal_says_which_field(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        good = await api.chat(user="me", metadata={"a": "b"}, tfs_z=2)
        streamed = await api.chat(stream=True, user="me")
        bad = await api.chat(functions=[{}])
        assert len(api.engine.jobs) == 2
    assert good.headers["x-hearth-ignored"] == "user, metadata, tfs_z"
    assert streamed.headers["x-hearth-ignored"] == "user"
    assert bad.status_code == 400
    assert bad.json()["error"]["code"] == "unsupported_parameter"
    assert bad.json()["error"]["param"] == "functions"
