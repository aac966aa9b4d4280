"""Anthropic's official Python client, unchanged, against Ember, and requests as coding agents send them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool
from anthropic.types import Message, TextBlock, ThinkingBlock, ToolUseBlock
from pydantic import BaseModel

from tests.conformance.conftest import FRIENDS

GREEDY = {"temperature": 0}
WEATHER: Any = {
    "name": "get_weather",
    "description": "Get the weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Friend(BaseModel):
    name: str
    age: int


class FriendList(BaseModel):
    friends: list[Friend]


@pytest.fixture(scope="module")
def base(address: str) -> str:
    return address.removesuffix("/v1")


@pytest.fixture(scope="module")
def client(base: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=base, api_key="any", max_retries=0, _strict_response_validation=True) as client:
        yield client


def ask(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def say(client: Anthropic, content: Any, *, max_tokens: int = 100, **fields: Any) -> Message:
    return client.messages.create(
        model="ember", max_tokens=max_tokens, messages=ask(content), extra_body=GREEDY, stream=False, **fields
    )


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_message_is_answered(client: Anthropic) -> None:
    message = say(client, "Hello", system="You are helpful.")
    (block,) = message.content
    assert isinstance(block, TextBlock)
    assert "Ember" in block.text
    assert (message.stop_reason, message.stop_sequence, message.model) == ("end_turn", None, "ember")
    assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) > 5
    assert message.usage.output_tokens > 3
    assert message._request_id


def test_a_stream_accumulates_to_the_same(client: Anthropic) -> None:
    whole = say(client, "Hello")
    with client.messages.stream(model="ember", max_tokens=100, messages=ask("Hello"), extra_body=GREEDY) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == text_of(whole) == text_of(message)
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == whole.usage.output_tokens
    totals = {used.input_tokens + (used.cache_read_input_tokens or 0) for used in (message.usage, whole.usage)}
    assert len(totals) == 1


def test_the_prompt_is_counted_before_and_in_a_stream_at_its_start(client: Anthropic) -> None:
    question = ask("What is the weather in Paris?")
    counted = client.messages.count_tokens(model="ember", messages=question, tools=[WEATHER], system="Be brief.")
    raw = client.messages.create(
        model="ember", max_tokens=50, messages=question, tools=[WEATHER], system="Be brief.", stream=True, extra_body=GREEDY
    )
    first, *_ = list(raw)
    assert first.type == "message_start"
    usage = first.message.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted.input_tokens


@pytest.mark.anyio
async def test_the_asynchronous_client_streams_too(base: str) -> None:
    async with (
        AsyncAnthropic(base_url=base, auth_token="any", max_retries=0) as client,
        client.messages.stream(model="ember", max_tokens=100, messages=ask("Hello"), extra_body=GREEDY) as stream,
    ):
        text = "".join([piece async for piece in stream.text_stream])
        assert "Ember" in text
        assert (await stream.get_final_message()).stop_reason == "end_turn"


def test_a_stop_sequence_is_named_and_a_limit_told(client: Anthropic) -> None:
    stopped = say(client, "Hello", stop_sequences=["nowhere", "Ember"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "Ember")
    assert "Ember" not in text_of(stopped)
    cut = say(client, "Hello", max_tokens=2)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 2)


def test_a_prompt_can_be_read_ahead_of_its_question(client: Anthropic) -> None:
    rules = "You know all there is to know about lighthouses and harbours, and you say it in few words."
    read = say(client, "Hello", system=rules, max_tokens=0)
    assert (read.content, read.stop_reason, read.usage.output_tokens) == ([], "max_tokens", 0)
    asked = say(client, "What is a lighthouse?", system=rules)
    assert (asked.usage.cache_read_input_tokens or 0) > 10


def test_an_answer_that_was_begun_is_gone_on_with(client: Anthropic) -> None:
    begun = [*ask("Hello"), {"role": "assistant", "content": "Hello! I'm"}]
    message = client.messages.create(model="ember", max_tokens=100, messages=begun, extra_body=GREEDY)
    assert text_of(message).startswith(" Ember")


def test_a_picture_is_seen_also_in_a_tool_s_result(client: Anthropic, red_circle: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": red_circle.partition(",")[2]}
    picture = {"type": "image", "source": source}
    question = {"type": "text", "text": "What's in this image?"}
    assert "red" in text_of(say(client, [picture, question]))
    look: Any = {"name": "look", "description": "Take a picture", "input_schema": {"type": "object", "properties": {}}}
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [picture]}
    messages: list[Any] = [*ask("Look!"), {"role": "assistant", "content": [call]}, *ask([result, question])]
    message = client.messages.create(model="ember", max_tokens=100, messages=messages, tools=[look], extra_body=GREEDY)
    assert "red" in text_of(message)


def test_a_document_of_text_is_read_and_a_pdf_refused(client: Anthropic) -> None:
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Once."}}
    assert say(client, [plain, {"type": "text", "text": "Hello"}]).content
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}
    with pytest.raises(anthropic.BadRequestError, match="PDF"):
        say(client, [pdf])


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_tool_is_called(client: Anthropic, choice: Any) -> None:
    message = say(client, "What is the weather in Paris?", tools=[WEATHER], tool_choice=choice)
    call = message.content[-1]
    assert isinstance(call, ToolUseBlock)
    assert (call.name, set(call.input)) == ("get_weather", {"city"})
    assert message.stop_reason == "tool_use"


def test_a_tool_is_not_called_where_none_may_be(client: Anthropic) -> None:
    message = say(client, "What is the weather in Paris?", tools=[WEATHER], tool_choice={"type": "none"})
    assert {block.type for block in message.content} == {"text"}


def test_a_streamed_call_accumulates_to_the_same(client: Anthropic) -> None:
    whole = say(client, "What is the weather in Paris?", tools=[WEATHER])
    with client.messages.stream(
        model="ember", max_tokens=100, messages=ask("What is the weather in Paris?"), tools=[WEATHER], extra_body=GREEDY
    ) as stream:
        message = stream.get_final_message()
    call, other = message.content[-1], whole.content[-1]
    assert isinstance(call, ToolUseBlock)
    assert isinstance(other, ToolUseBlock)
    assert call.input == other.input


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner_calls_and_goes_on(client: Anthropic, stream: bool) -> None:
    asked: list[str] = []

    @beta_tool
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        asked.append(city)
        return "21 degrees and windy"

    runner: Any = client.beta.messages.tool_runner(
        model="ember",
        max_tokens=100,
        messages=ask("What is the weather in Paris?"),
        tools=[get_weather],
        max_iterations=3,
        extra_body=GREEDY,
        stream=stream,
    )
    last = runner.until_done()
    assert asked == ["Paris"]
    assert "21" in text_of(last)


def test_thoughts_are_shown_where_they_are_asked_for_and_given_back(client: Anthropic) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 50}
    message = say(client, "What is 2+3?", thinking=thinking)
    thought, answer = message.content
    assert isinstance(thought, ThinkingBlock)
    assert thought.thinking
    assert thought.signature
    assert isinstance(answer, TextBlock)
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens_details.thinking_tokens > 0
    messages: list[Any] = [*ask("What is 2+3?"), message.to_param(), *ask("Hello")]
    assert client.messages.create(model="ember", max_tokens=100, messages=messages).content
    with client.messages.stream(
        model="ember", max_tokens=100, messages=ask("What is 2+3?"), thinking=thinking, extra_body=GREEDY
    ) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0] == thought
    assert text_of(streamed) == answer.text


def test_thoughts_can_be_omitted_or_left_out(client: Anthropic) -> None:
    omitted = say(client, "What is 2+3?", thinking={"type": "enabled", "budget_tokens": 50, "display": "omitted"})
    thought = omitted.content[0]
    assert isinstance(thought, ThinkingBlock)
    assert (thought.thinking, len(thought.signature) > 20) == ("", True)
    for fields in ({"thinking": {"type": "disabled"}}, {"output_config": {"effort": "high"}}):
        message = say(client, "What is 2+3?", **fields)
        assert [block.type for block in message.content] == ["text"]


def test_an_answer_is_held_to_a_schema(client: Anthropic) -> None:
    message = client.messages.parse(
        model="ember", max_tokens=200, messages=ask(FRIENDS), output_format=FriendList, extra_body=GREEDY
    )
    assert message.parsed_output is not None
    assert message.parsed_output.friends
    with client.messages.stream(
        model="ember", max_tokens=200, messages=ask(FRIENDS), output_format=FriendList, extra_body=GREEDY
    ) as stream:
        assert stream.get_final_message().parsed_output == message.parsed_output


def test_models_are_listed_page_by_page_and_looked_up(client: Anthropic) -> None:
    assert "ember" in [model.id for model in client.models.list(limit=1)]
    model = client.models.retrieve("ember")
    assert (model.type, model.display_name) == ("model", "Ember")
    assert model.capabilities is not None
    assert model.capabilities.image_input.supported


def test_errors_arrive_as_the_client_s_own_classes(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="embr", max_tokens=9, messages=ask("Hello"))
    assert (missing.value.type, bool(missing.value.request_id)) == ("not_found_error", True)
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("org/unknown-GGUF")
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        client.messages.create(model="ember", max_tokens=9, messages=ask("Hello"), extra_body={"temperature": 3})
    with pytest.raises(anthropic.BadRequestError, match="web_search"):
        say(client, "Hello", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    with pytest.raises(anthropic.BadRequestError, match="https"):
        say(client, [{"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}])


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_does_not_fit_is_an_error_in_the_words_that_agents_look_for(client: Anthropic, stream: bool) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 2048 maximum"):
        client.messages.create(model="ember", max_tokens=9, messages=ask("word " * 5000), stream=stream)


def test_a_coding_agent_s_request_is_answered_from_what_was_computed_before(client: Anthropic) -> None:
    """As Claude Code asks: rules in blocks, the first of them other each time, many tools, betas, thinking up to the model."""
    tools: list[Any] = [{**WEATHER, "name": f"tool_{index}"} for index in range(10)]

    def turn(number: int) -> Any:
        return client.beta.messages.with_raw_response.create(
            model="ember",
            max_tokens=64,
            system=[
                {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli; cch=0000{number};"},
                {"type": "text", "text": "You write code.", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
            messages=ask([{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]),
            tools=tools,
            thinking={"type": "adaptive"},
            output_config={"effort": "high"},
            metadata={"user_id": "somebody"},
            context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            betas=["interleaved-thinking-2025-05-14", "context-management-2025-06-27"],
        )

    turn(1)
    response = turn(2)
    marks = {"messages[].content[].cache_control", "system[].cache_control"}
    assert set(response.headers["x-hearth-ignored"].split(", ")) == {"context_management", "metadata", *marks}
    message = response.parse()
    assert message.content
    assert (message.usage.cache_read_input_tokens or 0) > 300


def test_an_agent_that_looks_whether_somebody_is_there_gets_an_answer(base: str) -> None:
    assert httpx2.head(base).status_code == 200
