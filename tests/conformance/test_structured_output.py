"""Answers of a given shape, as the official Python client and clients of other local servers ask for them."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

from tests.conformance.conftest import FRIENDS


class Mood(enum.Enum):
    CALM = "calm"
    CROSS = "cross"


# Nothing else would end what a model without a mind writes.
Word = Annotated[str, Field(max_length=12)]
Count = Annotated[int, Field(ge=0, le=99)]


class Address(BaseModel):
    street: Word
    number: Count | None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Count


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: Annotated[list[Word], Field(max_length=2)]


class Person(BaseModel):
    name: Word
    mood: Mood
    nickname: Word | None
    addresses: Annotated[list[Address], Field(max_length=2)]
    pet: Cat | Dog


class Node(BaseModel):
    value: Literal[1, 2]
    following: Node | None


class GetWeather(BaseModel):
    """Tells the weather."""

    city: Word
    unit: Literal["celsius", "fahrenheit"]
    days: Annotated[list[Count], Field(max_length=3)] | None


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key="any", max_retries=0) as client:
        yield client


def ask(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def said(client: OpenAI, text: str = FRIENDS, **more: Any) -> str:
    answer = client.chat.completions.create(model="ember", messages=ask(text), max_tokens=200, temperature=0, extra_body=more)
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize("shape", [Person, Node])
def test_nested_optional_and_recursive_classes_are_parsed(client: OpenAI, shape: type[BaseModel]) -> None:
    for seed in range(3):
        answer = client.beta.chat.completions.parse(
            model="ember", messages=ask("Tell me of a person."), response_format=shape, max_tokens=600, seed=seed
        )
        assert isinstance(answer.choices[0].message.parsed, shape)


def test_strict_tools_are_parsed(client: OpenAI) -> None:
    for seed in range(3):
        answer = client.beta.chat.completions.parse(
            model="ember",
            messages=ask("What is the weather in Paris?"),
            tools=[openai.pydantic_function_tool(GetWeather)],
            tool_choice="required",
            parallel_tool_calls=False,
            max_tokens=600,
            seed=seed,
        )
        (call,) = answer.choices[0].message.tool_calls or []
        assert isinstance(call.function.parsed_arguments, GetWeather)


def test_what_strict_can_not_hold_is_refused_with_its_pointer(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "not": {"const": 3}}}, "required": ["age"]}
    named = {"name": "person", "strict": True, "schema": schema}
    with pytest.raises(openai.BadRequestError, match="/properties/age/not") as caught:
        said(client, response_format={"type": "json_schema", "json_schema": named})
    assert caught.value.param == "response_format"
    function = {"name": "f", "strict": True, "parameters": schema}
    with pytest.raises(openai.BadRequestError, match="/properties/age/not"):
        said(client, tools=[{"type": "function", "function": function}])
    lax = {"type": "function", "function": {**function, "strict": False}}
    assert said(client, tools=[lax]) is not None


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_fails_its_schema_says_so(client: OpenAI, stream: bool) -> None:
    schema = {"enum": ["yes", "no"], "not": {"enum": ["yes", "no"]}}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "none", "schema": schema}}
    answer: Any = client.chat.completions.create(
        model="ember", messages=ask("Hello"), response_format=wanted, temperature=0, stream=stream
    )
    last = [chunk for chunk in answer if chunk.choices][-1].choices[0] if stream else answer.choices[0]
    assert last.finish_reason == "stop"
    assert "'/not'" in last.model_extra["schema_error"]
    if not stream:
        assert json.loads(last.message.content) in ("yes", "no")


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"grammar": 'root ::= "<" [a-c]{3} ">"'}, r"<[a-c]{3}>"),
        ({"grammar": "%llguidance {}\nstart: /[0-9]{4}/"}, r"[0-9]{4}"),
        ({"guided_grammar": 'root ::= "a" | "b"'}, r"a|b"),
        ({"guided_regex": r"\d{2}-\d{2}"}, r"\d{2}-\d{2}"),
        ({"guided_choice": ["positive", "negative"]}, r"positive|negative"),
        ({"guided_json": {"enum": [1, 2]}}, r"1|2"),
        ({"json_schema": {"const": "x"}}, r'"x"'),
        ({"structured_outputs": {"regex": "[xyz]{2}"}}, r"[xyz]{2}"),
        ({"response_format": {"type": "json_object", "schema": {"const": {"a": 1}}}}, r'\{\s*"a"\s*:\s*1\s*\}'),
    ],
)
def test_the_grammars_of_other_servers_hold_chats_and_texts(client: OpenAI, fields: dict[str, Any], shape: str) -> None:
    assert re.fullmatch(shape, said(client, **fields))
    text = client.completions.create(model="ember", prompt="It was", max_tokens=60, temperature=0, extra_body=fields)
    assert re.fullmatch(shape, text.choices[0].text)


def test_a_grammar_waits_for_the_end_of_the_reasoning(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="ember",
        messages=ask("Hello"),
        max_tokens=400,
        temperature=0,
        extra_body={"guided_choice": ["left", "right"], "chat_template_kwargs": {"enable_thinking": True}},
    )
    if answer.choices[0].finish_reason == "stop":
        assert (answer.choices[0].message.content or "").strip() in ("left", "right")


@pytest.mark.parametrize(
    ("fields", "param", "why"),
    [
        ({"grammar": "root ::= foo"}, "grammar", "line 1, column 10"),
        ({"grammar": "root ::= root"}, "grammar", "no answer conforms"),
        ({"grammar": "start: <no_such_token>"}, "grammar", "unknown special token"),
        ({"guided_regex": "("}, "guided_regex", "unclosed group"),
        ({"guided_json": "{"}, "guided_json", "not valid JSON"),
        ({"guided_choice": []}, "guided_choice", "between 1"),
        ({"grammar": 'root ::= "a"', "guided_choice": ["a"]}, "guided_choice", "Only one"),
        ({"json_schema": {"not": {"pattern": "["}}}, "json_schema", "regex"),
    ],
)
def test_what_can_not_be_held_to_is_refused_before_anything_runs(
    client: OpenAI, fields: dict[str, Any], param: str, why: str
) -> None:
    for ends in (
        lambda: said(client, **fields),
        lambda: client.completions.create(model="ember", prompt="It was", extra_body=fields),
    ):
        with pytest.raises(openai.BadRequestError, match=why) as caught:
            ends()
        assert caught.value.param == param


def test_a_string_that_never_ends_is_cut_by_max_tokens(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 5000}}, "required": ["a"]}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "long", "schema": schema}}
    answer = client.chat.completions.create(model="ember", messages=ask("Hello"), response_format=wanted, max_tokens=40)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 40
    assert (answer.choices[0].message.content or "").startswith("{")
