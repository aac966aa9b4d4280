from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types import chat, completion_create_params, embedding_create_params

from app.domain.errors import UnsupportedParameter
from app.server.wire.anthropic.body import CountBody, MessageBody
from app.server.wire.base import WireRequest
from app.server.wire.chat import ChatBody
from app.server.wire.completions import CompletionBody
from app.server.wire.embeddings import EmbeddingBody
from app.server.wire.fates import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    COUNT_FIELDS,
    EMBEDDING_FIELDS,
    MESSAGE_FIELDS,
    RERANK_FIELDS,
    Fate,
    FieldRule,
    ignored_fields,
    ignored_header,
)
from app.server.wire.rerank import RerankBody
from tests.server.serving import serving

CLIENTS = (
    (chat.completion_create_params.CompletionCreateParamsBase, CHAT_FIELDS),
    (completion_create_params.CompletionCreateParamsBase, COMPLETION_FIELDS),
    (embedding_create_params.EmbeddingCreateParams, EMBEDDING_FIELDS),
    (message_create_params.MessageCreateParamsBase, MESSAGE_FIELDS),
    (message_count_tokens_params.MessageCountTokensParams, COUNT_FIELDS),
    (beta_create_params.MessageCreateParamsBase, MESSAGE_FIELDS),
    (beta_count_tokens_params.MessageCountTokensParams, COUNT_FIELDS),
)
TABLES = (
    (ChatBody, CHAT_FIELDS),
    (CompletionBody, COMPLETION_FIELDS),
    (EmbeddingBody, EMBEDDING_FIELDS),
    (RerankBody, RERANK_FIELDS),
    (MessageBody, MESSAGE_FIELDS),
    (CountBody, COUNT_FIELDS),
)

# What the official clients send as headers.
SENT_AS_HEADERS = {"betas"}


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


@pytest.mark.parametrize(("params", "rules"), CLIENTS, ids=lambda value: getattr(value, "__module__", ""))
def test_the_fate_of_every_field_that_the_official_clients_send_is_decided(params: Any, rules: tuple[FieldRule, ...]) -> None:
    assert set(params.__annotations__) - SENT_AS_HEADERS <= {rule.name for rule in rules}


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
