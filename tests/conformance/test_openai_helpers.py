"""The Python client's helpers that follow an answer: parsed pieces of it, parsed arguments of tools, and async clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.conformance.prompts import FRIENDS


class Friend(BaseModel):
    name: str
    age: int
    is_available: bool


class Friends(BaseModel):
    friends: list[Friend]


class GetWeather(BaseModel):
    """Get the current weather in a city"""

    city: str


WEATHER = openai.pydantic_function_tool(GetWeather, name="get_weather")
ASKED: dict[str, Any] = {"model": "ember", "temperature": 0}


@pytest.fixture
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(address: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=address, api_key="any", max_retries=0) as client:
        yield client


def ask(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_an_answer_is_parsed_while_it_comes(client: OpenAI) -> None:
    with client.chat.completions.stream(**ASKED, messages=ask(FRIENDS), response_format=Friends) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    deltas = [event for event in events if event.type == "content.delta"]
    (done,) = [event for event in events if event.type == "content.done"]
    assert "".join(event.delta for event in deltas) == done.content == deltas[-1].snapshot
    assert isinstance(done.parsed, Friends)
    assert final.choices[0].message.parsed == done.parsed
    # Of an object that has only begun, what is there is parsed.
    assert any(event.parsed and event.parsed != json.loads(done.content) for event in deltas)


def test_arguments_are_parsed_while_they_come(client: OpenAI) -> None:
    asked = {**ASKED, "messages": ask("What is the weather in Paris?"), "tools": [WEATHER], "tool_choice": "required"}
    with client.chat.completions.stream(**asked) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert "".join(event.arguments_delta for event in deltas if event.index == 0) == done[0].arguments
    assert isinstance(done[0].parsed_arguments, GetWeather)
    (choice,) = final.choices
    assert choice.finish_reason == "tool_calls"
    assert [call.function.parsed_arguments for call in choice.message.tool_calls or []] == [
        event.parsed_arguments for event in done
    ]


def test_log_probabilities_are_followed(client: OpenAI) -> None:
    with client.chat.completions.stream(**ASKED, messages=ask("Hello"), logprobs=True, top_logprobs=2) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    (done,) = [event for event in events if event.type == "logprobs.content.done"]
    assert "".join(token.token for token in done.content) == final.choices[0].message.content


def test_what_a_tool_said_is_answered(client: OpenAI) -> None:
    messages = ask("What is the weather in Paris?")
    first = client.chat.completions.parse(**ASKED, messages=messages, tools=[WEATHER]).choices[0].message
    assert first.tool_calls
    said = [{"role": "tool", "tool_call_id": call.id, "content": '{"weather": "sunny"}'} for call in first.tool_calls]
    # The client's own object, as programs put it back.
    answer = client.chat.completions.create(**ASKED, messages=[*messages, first, *said], tools=[WEATHER])
    assert answer.choices[0].message.content


def test_a_limit_before_the_end_of_the_object_is_an_error_of_the_client(client: OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**ASKED, messages=ask(FRIENDS), response_format=Friends, max_tokens=5)


@pytest.mark.anyio
async def test_the_async_client_gets_the_same(client: OpenAI, async_client: AsyncOpenAI) -> None:
    asked = {**ASKED, "messages": ask(FRIENDS), "response_format": Friends}
    async with async_client.chat.completions.stream(**asked) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.parsed == client.chat.completions.parse(**asked).choices[0].message.parsed


def test_every_field_that_the_client_knows_is_taken_but_those_that_are_refused(client: OpenAI) -> None:
    everything: dict[str, Any] = {
        "audio": {"format": "wav", "voice": "alloy"},
        "frequency_penalty": -2,
        "function_call": "none",
        "logit_bias": {"1": 0},
        "logprobs": True,
        "max_completion_tokens": 8,
        "max_tokens": 8,
        "metadata": {"foo": "string"},
        "modalities": ["text"],
        "n": 1,
        "parallel_tool_calls": True,
        "prediction": {"content": "string", "type": "content"},
        "presence_penalty": -2,
        "prompt_cache_key": "prompt-cache-key-1234",
        "prompt_cache_retention": "in_memory",
        "reasoning_effort": "none",
        "response_format": {"type": "text"},
        "safety_identifier": "safety-identifier-1234",
        "seed": -9007199254740991,
        "service_tier": "auto",
        "stop": "\n",
        "store": True,
        "stream_options": {"include_obfuscation": True, "include_usage": True},
        "temperature": 1,
        "tool_choice": "none",
        "tools": [{"type": "function", "function": {"name": "name", "parameters": {"foo": "bar"}, "strict": True}}],
        "top_logprobs": 0,
        "top_p": 1,
        "user": "user-1234",
        "verbosity": "low",
        "web_search_options": {"search_context_size": "low"},
    }
    messages: list[Any] = [{"role": "developer", "content": "string", "name": "name"}]
    answer = client.chat.completions.with_raw_response.create(model="ember", messages=messages, **everything)
    assert answer.parse().choices[0].finish_reason in ("stop", "length")
    ignored = set(answer.headers["x-hearth-ignored"].split(", "))
    assert ignored == {
        *("audio", "metadata", "prediction", "prompt_cache_retention", "safety_identifier", "service_tier", "store", "user"),
        *("verbosity", "web_search_options", "stream_options.include_obfuscation"),
    }


def test_a_header_of_the_program_s_own_does_no_harm(address: str) -> None:
    own = httpx2.Client(headers={"x-foo": "true", "cookie": "a=b"})
    with OpenAI(base_url=address, api_key="any", organization="o", project="p", http_client=own) as client:
        assert client.chat.completions.create(**ASKED, messages=ask("Hello")).choices
