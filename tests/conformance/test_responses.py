"""The official Python client's Responses API, unchanged, against Ember; and what agents that speak it send."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.responses import (
    FunctionToolParam,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseReasoningItem,
)
from pydantic import BaseModel

from app.bootstrap import Running
from tests.conformance.conftest import FRIENDS


class FriendInfo(BaseModel):
    name: str
    age: int
    is_available: bool


class FriendList(BaseModel):
    friends: list[FriendInfo]


WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key="any", max_retries=0, _strict_response_validation=True) as client:
        yield client


def test_a_text_is_answered(client: OpenAI) -> None:
    answer = client.responses.create(model="ember", input="Hello", instructions="Be kind.", temperature=0, metadata={"a": "b"})
    assert "Ember" in answer.output_text
    assert (answer.status, answer.model, answer.instructions, answer.metadata) == ("completed", "ember", "Be kind.", {"a": "b"})
    (message,) = answer.output
    assert isinstance(message, ResponseOutputMessage)
    assert message.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_a_streamed_answer_says_the_same_as_a_whole_one(client: OpenAI) -> None:
    whole = client.responses.create(model="ember", input="Hello", temperature=0)
    events = list(client.responses.create(model="ember", input="Hello", temperature=0, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert len(deltas) > 1
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == whole.output_text
    assert last.response.usage is not None
    assert whole.usage is not None
    assert last.response.usage.output_tokens == whole.usage.output_tokens


def test_a_limit_makes_an_incomplete_response(client: OpenAI) -> None:
    whole = client.responses.create(model="ember", input="Hello", temperature=0, max_output_tokens=3)
    *_, last = client.responses.create(model="ember", input="Hello", temperature=0, max_output_tokens=3, stream=True)
    assert last.type == "response.incomplete"
    for answer in (whole, last.response):
        assert answer.status == "incomplete"
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"


def test_log_probabilities_come_where_they_are_asked_for(client: OpenAI) -> None:
    answer = client.responses.create(
        model="ember", input="Hello", temperature=0, top_logprobs=2, include=["message.output_text.logprobs"]
    )
    (message,) = answer.output
    assert isinstance(message, ResponseOutputMessage)
    (part,) = message.content
    assert part.type == "output_text"
    assert "".join(token.token for token in part.logprobs or []) == answer.output_text
    assert all(len(token.top_logprobs) == 2 for token in part.logprobs or [])


@pytest.mark.parametrize("stateless", [False, True], ids=["previous_response_id", "items sent back"])
def test_a_function_is_called_and_its_result_read(client: OpenAI, stateless: bool) -> None:
    question: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = client.responses.create(model="ember", input=question, tools=[WEATHER], temperature=0, store=not stateless)
    (call,) = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    result: list[Any] = [{"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "clear"}'}]
    if stateless:
        second = client.responses.create(
            model="ember", input=[*question, call, *result], tools=[WEATHER], temperature=0, store=False
        )
    else:
        second = client.responses.create(
            model="ember", input=result, previous_response_id=first.id, tools=[WEATHER], temperature=0
        )
    assert second.output_text
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.usage.input_tokens_details.cached_tokens > 10


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}], ids=["required", "named"])
def test_a_call_can_be_demanded_and_forbidden(client: OpenAI, choice: Any) -> None:
    answer = client.responses.create(model="ember", input="Hello", tools=[WEATHER], tool_choice=choice, temperature=0)
    assert [item.type for item in answer.output] == ["function_call"]
    without = client.responses.create(
        model="ember", input="What is the weather in Paris?", tools=[WEATHER], tool_choice="none", temperature=0
    )
    assert [item.type for item in without.output] == ["message"]


def test_the_stream_helper_follows_a_call_to_its_end(client: OpenAI) -> None:
    tool = openai.pydantic_function_tool(FriendInfo)["function"]
    with client.responses.stream(
        model="ember",
        input="Hello",
        tools=[{"type": "function", "name": tool["name"], "parameters": tool.get("parameters"), "strict": True}],
        tool_choice="required",
        temperature=0,
        max_output_tokens=200,
    ) as stream:
        arguments = "".join(event.delta for event in stream if event.type == "response.function_call_arguments.delta")
        final = stream.get_final_response()
    (call,) = final.output
    assert call.type == "function_call"
    assert call.arguments == arguments
    assert set(json.loads(arguments)) == {"name", "age", "is_available"}


def test_an_answer_is_parsed_into_classes(client: OpenAI) -> None:
    whole = client.responses.parse(model="ember", input=FRIENDS, text_format=FriendList, temperature=0)
    assert isinstance(whole.output_parsed, FriendList)
    with client.responses.stream(model="ember", input=FRIENDS, text_format=FriendList, temperature=0) as stream:
        final = stream.get_final_response()
    assert final.output_parsed == whole.output_parsed


def test_a_picture_is_seen(client: OpenAI, red_circle: str) -> None:
    content: list[Any] = [
        {"type": "input_text", "text": "What's in this image?"},
        {"type": "input_image", "image_url": red_circle, "detail": "auto"},
    ]
    question: list[Any] = [{"role": "user", "content": content}]
    answer = client.responses.create(model="ember", input=question, max_output_tokens=300, temperature=0)
    assert "red" in answer.output_text.lower()
    assert "circle" in answer.output_text.lower()
    again = client.responses.create(
        model="ember", input="Hello", previous_response_id=answer.id, max_output_tokens=2, temperature=0
    )
    assert answer.usage is not None
    assert again.usage is not None
    assert again.usage.input_tokens > answer.usage.input_tokens


@pytest.mark.parametrize("summary", [False, True], ids=["reasoning", "as a summary"])
def test_reasoning_is_an_item_of_its_own_and_can_be_handed_back(client: OpenAI, summary: bool) -> None:
    reasoning: Any = {"effort": "high", **({"summary": "auto"} if summary else {})}
    with client.responses.stream(
        model="ember",
        input="What is 17 times 3?",
        reasoning=reasoning,
        include=["reasoning.encrypted_content"],
        store=False,
        temperature=0,
    ) as stream:
        kinds = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
        told = "".join(event.delta for event in stream if event.type == kinds[summary])
        first = stream.get_final_response()
    thought, message = first.output
    assert isinstance(thought, ResponseReasoningItem)
    assert message.type == "message"
    assert [part.text for part in (thought.summary if summary else thought.content or [])] == [told]
    assert told
    assert thought.encrypted_content
    packed: Any = {"type": "reasoning", "id": thought.id, "summary": [], "encrypted_content": thought.encrypted_content}
    question: Any = {"role": "user", "content": "What is 17 times 3?"}
    more: Any = {"role": "user", "content": "Hello"}
    second = client.responses.create(
        model="ember", input=[question, packed, message, more], reasoning=reasoning, store=False, temperature=0
    )
    assert second.output_text


def test_a_conversation_goes_on_from_what_is_kept_without_its_instructions(client: OpenAI) -> None:
    first = client.responses.create(model="ember", input="Hello", instructions="word " * 50, temperature=0)
    second = client.responses.create(model="ember", input="Hello again", previous_response_id=first.id, temperature=0)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens < first.usage.input_tokens
    items = client.responses.input_items.list(second.id, order="asc", limit=2)
    assert [item.type for item in items] == ["message", "message", "message"]
    (newest, *_) = client.responses.input_items.list(second.id).data
    assert newest.type == "message"
    assert newest.content[0].type == "input_text"
    assert newest.content[0].text == "Hello again"


def test_a_kept_response_is_retrieved_and_deleted(client: OpenAI) -> None:
    answer = client.responses.create(model="ember", input="Hello", temperature=0)
    assert client.responses.retrieve(answer.id) == answer
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="ember", input="Hello", previous_response_id=answer.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_response_that_is_not_to_be_kept_is_not(client: OpenAI) -> None:
    answer = client.responses.create(model="ember", input="Hello", temperature=0, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_a_response_in_the_background_is_looked_at_streamed_and_cancelled(client: OpenAI) -> None:
    begun = client.responses.create(model="ember", input="Hello", temperature=0, background=True)
    assert begun.status == "in_progress"
    with client.responses.stream(response_id=begun.id) as stream:
        final = stream.get_final_response()
    assert client.responses.retrieve(begun.id).output_text == final.output_text != ""
    *_, last = client.responses.retrieve(begun.id, stream=True, starting_after=2)
    assert last.type == "response.completed"
    endless = client.responses.create(model="ember", input="Tell me a story", background=True, extra_body={"ignore_eos": True})
    assert client.responses.cancel(endless.id).status == "cancelled"


def test_an_item_of_a_kept_response_can_be_named_by_its_id(client: OpenAI) -> None:
    question: Any = {"role": "user", "content": "What is the weather in Paris?"}
    first = client.responses.create(model="ember", input=[question], tools=[WEATHER], temperature=0)
    (call,) = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    named: Any = {"type": "item_reference", "id": call.id}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "clear"}
    answer = client.responses.create(model="ember", input=[question, named, result], tools=[WEATHER], temperature=0)
    assert answer.output_text
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="ember", input=[question, {"type": "item_reference", "id": "fc_unknown"}])
    assert caught.value.param == "input[1].id"


def test_input_tokens_are_counted_as_a_response_counts_them(client: OpenAI, red_circle: str) -> None:
    content: Any = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": red_circle, "detail": "auto"}]
    question: Any = [{"role": "user", "content": content}]
    for tools in ([], [WEATHER]):
        counted = client.responses.input_tokens.count(model="ember", input=question, instructions="Be kind.", tools=tools)
        answer = client.responses.create(
            model="ember", input=question, instructions="Be kind.", tools=tools, max_output_tokens=1, temperature=0
        )
        assert answer.usage is not None
        assert counted.input_tokens == answer.usage.input_tokens


def test_a_conversation_that_does_not_fit_is_refused_or_loses_its_oldest_turns(client: OpenAI) -> None:
    old: list[Any] = []
    for _ in range(30):
        old += [{"role": "user", "content": "word " * 100}, {"role": "assistant", "content": "Well."}]
    conversation = [*old, {"role": "user", "content": "Hello"}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="ember", input=conversation, stream=stream)
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")
    answer = client.responses.create(model="ember", input=conversation, truncation="auto", temperature=0)
    assert answer.status == "completed"
    assert answer.usage is not None
    assert 200 < answer.usage.input_tokens < 2048


def test_a_conversation_is_made_short_and_gone_on_with(client: OpenAI) -> None:
    first = client.responses.create(model="ember", input="Hello", temperature=0)
    short = client.responses.compact(model="ember", input="Tell me more", previous_response_id=first.id)
    assert [item.type for item in short.output] == ["compaction"]
    more: Any = {"role": "user", "content": "Hello"}
    items: Any = [item.to_dict() for item in short.output]
    assert client.responses.create(model="ember", input=[*items, more], temperature=0).output_text


def test_a_model_that_dies_mid_answer_fails_the_response(client: OpenAI, program: Running) -> None:
    stream = client.responses.create(
        model="ember", input="Tell me a story", stream=True, extra_body={"ignore_eos": True}, max_output_tokens=1500
    )
    events = [next(stream) for _ in range(8)]
    pid = program.services.models.state("ember").pid
    assert pid is not None
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    *_, error, last = [*events, *stream]
    assert error.type == "error"
    assert error.code == "engine_crashed"
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    assert client.responses.create(model="ember", input="Hello", temperature=0).status == "completed"


def test_an_agent_s_whole_tool_box_is_taken(address: str) -> None:
    """What Codex sends: no types on messages, ids and statuses on items, tools of many kinds, its own fields."""
    function = {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object", "properties": {}}}
    nested = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
    body = {
        "model": "ember",
        "instructions": "You are a coding agent.",
        "input": [
            {"role": "developer", "content": [{"type": "input_text", "text": "Work in /tmp."}]},
            {"role": "user", "content": [{"type": "input_text", "text": "Look"}]},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAA", "content": None},
            {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c1", "name": "shell", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "done"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Again"}]},
        ],
        "tools": [
            function,
            {"type": "namespace", "name": "mcp__files", "description": "Files.", "tools": [nested]},
            {
                "type": "custom",
                "name": "apply_patch",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"},
            },
            {"type": "web_search", "external_web_access": False},
            {"type": "image_generation"},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0b6ae5f2",
        "text": {"verbosity": "low"},
        "client_metadata": {"installation": "1"},
        "max_output_tokens": 24,
    }
    with httpx2.Client(timeout=60) as http:
        answer = http.post(f"{address}/responses", json=body)
        forced = {
            **body,
            "stream": False,
            "tool_choice": {"type": "function", "name": "mcp__files.look"},
            "max_output_tokens": 200,
        }
        (*_, call) = http.post(f"{address}/responses", json=forced).json()["output"]
    assert answer.status_code == 200, answer.text
    ignored = answer.headers["x-hearth-ignored"].split(", ")
    assert set(ignored) == {
        *("client_metadata", "text.verbosity", "tools[].format", "tools[].external_web_access"),
        *("tools[].custom", "tools[].web_search", "tools[].image_generation", "input[].encrypted_content"),
    }
    assert (call["type"], call["namespace"], call["name"]) == ("function_call", "mcp__files", "look")
