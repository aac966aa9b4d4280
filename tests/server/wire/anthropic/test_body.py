from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.errors import InvalidRequest
from app.domain.generation import AutoToolChoice, ChatRequest, Effort, JsonSchemaFormat, ReasoningChoice, TextFormat
from app.domain.messages import Message, Role
from app.server.wire.anthropic.body import CountBody, MessageBody, message_request, prompt_request

HELLO: dict[str, Any] = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
SCHEMA = {"type": "json_schema", "schema": {"type": "object"}}


def request(**fields: Any) -> ChatRequest:
    return message_request(MessageBody.model_validate({**HELLO, **fields}))


def test_the_least_a_request_can_be() -> None:
    assert request() == ChatRequest("ember", (Message.of(Role.USER, "Hello"),), max_tokens=100)


def test_everything_that_can_be_asked_for_gets_through() -> None:
    asked = request(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        seed=3,
        stop_sequences=["END", ""],
        stop="X",
        tools=[{"name": "add", "input_schema": {"type": "object"}}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 99},
        output_config={"effort": "high", "format": SCHEMA},
        prompt_cache_key="k",
        keep_alive="5m",
    )
    sampling = asked.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed) == (0.5, 0.9, 5, 3)
    assert asked.stop == ("END", "X")
    assert (asked.tool_choice, asked.parallel_tool_calls, asked.tools[0].name) == (AutoToolChoice.REQUIRED, False, "add")
    assert asked.reasoning == ReasoningChoice(Effort.HIGH, 99)
    assert asked.output == JsonSchemaFormat('{"type":"object"}', strict=True, param="output_config.format.schema")
    assert (asked.cache_key, asked.keep_alive_s) == ("api k", 300)


def test_the_outdated_name_of_the_format_is_understood() -> None:
    assert request(output_format=SCHEMA).output == JsonSchemaFormat(
        '{"type":"object"}', strict=True, param="output_format.schema"
    )
    assert request(output_config={"effort": None, "format": None}).output == TextFormat()
    with pytest.raises(InvalidRequest) as caught:
        request(output_format=SCHEMA, output_config={"format": SCHEMA})
    assert caught.value.param == "output_format"


def test_thoughts_must_leave_room_for_the_answer() -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(thinking={"type": "enabled", "budget_tokens": 100})
    assert caught.value.param == "max_tokens"
    assert request(thinking={"type": "enabled", "budget_tokens": 100}, max_tokens=0).max_tokens == 0


@pytest.mark.parametrize(
    "fields",
    [
        *({"max_tokens": None}, {"max_tokens": -1}, {"max_tokens": "9"}, {"messages": []}, {"temperature": 1.1}, {"top_p": 2}),
        *({"stop_sequences": "END"}, {"output_config": {"effort": "huge"}}, {"output_config": {"format": {"type": "xml"}}}),
        *({"system": [{"type": "image"}]}, {"messages": [{"role": "tool", "content": "x"}]}, {"tool_choice": "auto"}),
    ],
)
def test_values_out_of_range_are_mistakes(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request(**fields)


def test_max_tokens_must_be_told_but_not_to_count() -> None:
    bare = {name: value for name, value in HELLO.items() if name != "max_tokens"}
    with pytest.raises(ValidationError):
        MessageBody.model_validate(bare)
    assert prompt_request(CountBody.model_validate(bare)).max_tokens is None
