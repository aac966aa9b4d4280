from __future__ import annotations

from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import (
    ChatRequest,
    Effort,
    JsonObjectFormat,
    JsonSchemaFormat,
    ReasoningChoice,
    TextFormat,
)
from app.domain.messages import Role
from app.server.wire.responses.body import ResponseBody, ResponseRequest, response_request
from app.server.wire.responses.items import input_items


def asked(**fields: Any) -> ResponseRequest:
    body = ResponseBody.model_validate({"model": "ember", "input": "Hello", **fields})
    return response_request(body, (), input_items(body.input))


def chat(**fields: Any) -> ChatRequest:
    return asked(**fields).chat


def test_the_fields_reach_the_request() -> None:
    request = chat(
        instructions="Be kind.",
        max_output_tokens=5,
        temperature=0.5,
        top_k=3,
        stop="x",
        parallel_tool_calls=False,
        prompt_cache_key="k",
        keep_alive=60,
    )
    assert [message.role for message in request.messages] == [Role.SYSTEM, Role.USER]
    assert (request.max_tokens, request.sampling.temperature, request.sampling.top_k, request.stop) == (5, 0.5, 3, ("x",))
    assert (request.parallel_tool_calls, request.cache_key, request.keep_alive_s) == (False, "api k", 60)
    assert not request.continues


def test_a_format_is_what_text_says_or_a_field_of_other_servers() -> None:
    schema = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    assert chat().output == chat(text={"format": {"type": "text"}}).output == TextFormat()
    assert chat(text={"format": {"type": "json_object"}}).output == JsonObjectFormat()
    assert chat(text={"format": schema}).output == JsonSchemaFormat('{"type":"object"}', "x", True, "text.format.schema")
    assert chat(response_format={"type": "json_object"}).output == JsonObjectFormat()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_object"}}, "grammar": 'root ::= "a"'}, "grammar"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning.effort"),
    ],
)
def test_what_contradicts_itself_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(**fields)
    assert caught.value.param == param


def test_log_probabilities_are_asked_for_in_either_of_two_ways() -> None:
    named = ["message.output_text.logprobs"]
    assert chat().top_logprobs is None
    assert chat(include=named).top_logprobs == 0
    assert chat(include=named, top_logprobs=3).top_logprobs == chat(top_logprobs=3).top_logprobs == 3


def test_reasoning_is_asked_for_as_in_chats_and_by_summary() -> None:
    body = ResponseBody.model_validate({"model": "ember", "input": "", "reasoning": {"effort": "high", "summary": "auto"}})
    assert body.reasoning_choice == ReasoningChoice(Effort.HIGH)
    assert body.wants_summary
    assert chat(enable_thinking=False).reasoning == ReasoningChoice(Effort.NONE)


def test_parts_without_effect_are_named() -> None:
    function = {"type": "function", "name": "add"}
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    told = asked(
        input=[reasoning, {"role": "user", "content": "Hello"}],
        tools=[function, {"type": "web_search"}],
    )
    assert told.ignored == ("tools[].web_search", "input[].encrypted_content")
