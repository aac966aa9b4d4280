from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import CompactedResponse, ResponseItem
from openai.types.responses import Response as OpenAiResponse
from pydantic import TypeAdapter

from app.domain.errors import EngineBusy, GenerationFailed
from app.domain.generation import FinishReason, SamplingParams
from app.domain.prompt import Picture, PlainText
from tests.fakes import Answer, model_info, piece
from tests.server.serving import Gate, RawClient, Serving, serving

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}, "strict": True}
CALLS = Answer((piece("<call>", control=True), piece("add {}")))
THINKS = Answer((piece("<think>", control=True), piece("Hm."), piece("</think>", control=True), piece("42")))
_ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)


async def ask(api: Serving, **fields: Any) -> dict[str, Any]:
    answer = await api.http.post("/v1/responses", json={"model": "ember", "input": "Hello", **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    OpenAiResponse.model_validate(body)
    return body


async def refused(api: Serving, path: str = "/v1/responses", **fields: Any) -> tuple[int, str | None, str | None]:
    answer = await api.http.post(path, json={"model": "ember", "input": "Hello", **fields})
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def prompt_of(api: Serving) -> str:
    return "".join(getattr(segment, "text", "") for segment in api.engine.jobs[-1].prompt)


async def test_a_text_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo", cached_tokens=3)) as api:
        body = await ask(api, instructions="Be kind.", metadata={"a": "b"}, tools=[FUNCTION], max_output_tokens=9)
        assert prompt_of(api) == "<system>Be kind.<user>Hello<assistant>"
        assert api.activity.records[-1].completion_tokens == 2
    assert (body["object"], body["status"], body["error"]) == ("response", "completed", None)
    assert body["output"][0]["content"][0]["text"] == "Hello"
    assert body["usage"]["input_tokens_details"]["cached_tokens"] == 3
    assert (body["metadata"], body["max_output_tokens"], body["tools"][0]["name"]) == ({"a": "b"}, 9, "add")


async def test_every_field_that_is_asked_is_told_again(tmp_path: Path) -> None:
    text = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": False}}
    asked = {
        "instructions": "I",
        "max_tool_calls": 2,
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "store": False,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_logprobs": 2,
        "truncation": "auto",
        "tools": [FUNCTION],
        "tool_choice": {"type": "function", "name": "add"},
        "reasoning": {"effort": "low", "summary": "concise"},
        "text": text,
    }
    async with serving(tmp_path) as api:
        body = await ask(api, **asked)
    assert {name: body[name] for name in asked if name != "tools"} == {
        name: value for name, value in asked.items() if name != "tools"
    }


async def test_a_stream_is_of_named_events_and_ends_with_the_response(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo")) as api:
        events = await api.stream("/v1/responses", messages=None, input="Hello")
        stored = (await api.http.get(f"/v1/responses/{events[0]['response']['id']}")).json()
    assert events[0]["type"] == "response.created"
    assert [event["delta"] for event in events if event["type"] == "response.output_text.delta"] == ["Hel", "lo"]
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"] == stored


async def test_calls_and_reasoning_are_items(tmp_path: Path) -> None:
    async with serving(tmp_path, CALLS, THINKS) as api:
        (call,) = (await ask(api, tools=[FUNCTION]))["output"]
        thought, message = (await ask(api))["output"]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "add", "{}")
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert message["content"][0]["text"] == "42"


async def test_a_picture_reaches_the_engine(tmp_path: Path) -> None:
    url = f"data:image/png;base64,{base64.b64encode(b'picture').decode()}"
    content = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": url}]
    async with serving(tmp_path) as api:
        await ask(api, input=[{"role": "user", "content": content}])
        assert Picture(b"picture") in api.engine.jobs[0].prompt


async def test_a_conversation_goes_on_without_its_instructions(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("One"), Answer.of("Two"), Answer.of("Three")) as api:
        first = await ask(api, instructions="Be kind.")
        second = await ask(api, input="More", previous_response_id=first["id"])
        await ask(api, input="Still more", previous_response_id=second["id"], instructions="Be brief.", store=False)
        assert prompt_of(api) == "<system>Be brief.<user>Hello<assistant>One<user>More<assistant>Two<user>Still more<assistant>"
        listed = (await api.http.get(f"/v1/responses/{second['id']}/input_items", params={"order": "asc"})).json()
    assert second["previous_response_id"] == first["id"]
    for item in listed["data"]:
        _ITEM.validate_python(item)
    assert [item["content"][0]["text"] for item in listed["data"]] == ["Hello", "One", "More"]


@pytest.mark.parametrize("nothing", [{}, {"input": None}, {"input": []}], ids=str)
async def test_a_previous_response_is_input_enough(tmp_path: Path, nothing: dict[str, Any]) -> None:
    async with serving(tmp_path, Answer.of("One")) as api:
        asked = {"model": "ember", "previous_response_id": (await ask(api))["id"], **nothing}
        for path in ("/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact"):
            answer = await api.http.post(path, json=asked)
            assert answer.status_code == 200, answer.text
        assert prompt_of(api).startswith("<user>Hello<assistant>One<user>Write down")


async def test_a_stored_item_is_named_by_its_id(tmp_path: Path) -> None:
    async with serving(tmp_path, CALLS, Answer.of("Done.")) as api:
        (call,) = (await ask(api, tools=[FUNCTION]))["output"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "2"}
        await ask(api, input=[{"type": "item_reference", "id": call["id"]}, result])
        assert prompt_of(api) == "<assistant><tool>2<assistant>"
        unknown = await refused(api, input=[{"type": "item_reference", "id": "fc_0"}])
    assert unknown == (400, "invalid_value", "input[0].id")


async def test_what_is_not_kept_can_t_be_gone_on_with(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        body = await ask(api, store=False)
        assert await refused(api, previous_response_id=body["id"]) == (
            400,
            "previous_response_not_found",
            "previous_response_id",
        )
        assert (await api.http.get(f"/v1/responses/{body['id']}")).status_code == 404


async def test_input_tokens_are_counted(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/responses/input_tokens", json={"model": "ember", "input": "Hello"})
        assert not api.engine.jobs
    assert answer.json() == {"object": "response.input_tokens", "input_tokens": len("<user>Hello<assistant>")}


async def test_a_conversation_is_made_short_by_the_model_and_gone_on_with(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("They", " greeted."), Answer.of("Well.")) as api:
        asked = {"model": "ember", "input": "Hello", "tools": [FUNCTION], "tool_choice": "required"}
        answer = await api.http.post("/v1/responses/compact", json=asked)
        assert prompt_of(api).startswith("<user>Hello<user>Write down")
        body = answer.json()
        CompactedResponse.model_validate(body)
        await ask(api, input=[*body["output"], {"role": "user", "content": "More"}])
        assert prompt_of(api).endswith("They greeted.<user>More<assistant>")
    assert body["usage"]["output_tokens"] == 2


async def test_one_question_with_many_steps_loses_its_oldest_steps_before_it_is_made_short(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        long = "x" * (model_info().n_ctx // 4)
        steps = [
            item
            for index in range(5)
            for item in (
                {"type": "function_call", "call_id": f"c{index}", "name": "add", "arguments": "{}"},
                {"type": "function_call_output", "call_id": f"c{index}", "output": f"{index} {long}"},
            )
        ]
        asked = {"model": "ember", "input": [{"role": "user", "content": "Hello"}, *steps]}
        assert (await api.http.post("/v1/responses/compact", json=asked)).status_code == 200
        prompt = prompt_of(api)
    assert prompt.startswith("<user>Hello<assistant><tool>")
    assert "<tool>4 x" in prompt
    assert "<tool>0 x" not in prompt
    assert "<user>Write down" in prompt


async def test_a_conversation_is_not_replaced_by_nothing(tmp_path: Path) -> None:
    thinks = Answer((piece("<think>", control=True), piece("Hm.")), FinishReason.LENGTH)
    async with serving(tmp_path, thinks, Answer.of(" ")) as api:
        for _ in range(2):
            status, code, _ = await refused(api, "/v1/responses/compact")
            assert (status, code) == (500, "generation_failed")


async def test_what_was_cut_while_it_was_made_short_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("They", reason=FinishReason.LENGTH), Answer.of("Well.")) as api:
        answer = await api.http.post("/v1/responses/compact", json={"model": "ember", "input": "Hello"})
        await ask(api, input=answer.json()["output"])
        assert "They\n\n[This account was cut off here" in prompt_of(api)


async def test_what_answers_were_to_be_like_does_not_hold_where_a_conversation_is_made_short(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        asked = {"stop": "a", "min_tokens": 50, "logit_bias": {"5": -100}, "text": {"format": {"type": "json_object"}}}
        answer = await api.http.post("/v1/responses/compact", json={"model": "ember", "input": "Hello", **asked})
        assert answer.status_code == 200
        (job,) = api.engine.jobs
    assert (job.stop, job.sampling, job.constraint) == ((), SamplingParams(), None)


async def test_an_answer_that_was_cut_is_incomplete(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", reason=FinishReason.LENGTH)) as api:
        body = await ask(api)
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_before_the_first_token_are_status_codes(tmp_path: Path, stream: bool) -> None:
    async with serving(tmp_path, Answer(error=EngineBusy())) as api:
        assert (await refused(api, stream=stream))[0] == 429
        assert await refused(api, stream=stream, model="embre") == (404, "model_not_found", "model")


async def test_a_later_error_fails_the_response_and_it_is_kept_so(tmp_path: Path) -> None:
    broken = Answer(Answer.of("Hel", "lo").pieces, error=GenerationFailed("decode failed"))
    async with serving(tmp_path, broken) as api:
        events = await api.stream("/v1/responses", messages=None, input="Hello")
        stored = (await api.http.get(f"/v1/responses/{events[0]['response']['id']}")).json()
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert (stored["status"], stored["error"]["message"]) == ("failed", "decode failed")


async def test_a_client_that_leaves_frees_its_sequence(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Once", " upon", gate=gate)) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/responses", {"model": "ember", "input": "Hello", "stream": True})
        await client.until("response.output_text.delta")
        await gate.reached()
        await client.close()
        async with asyncio.timeout(10):
            await gate.left.wait()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        ({"include": ["everything"]}, "include[0]"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_bad_requests_name_the_field(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    async with serving(tmp_path) as api:
        status, _, named = await refused(api, **fields)
    assert (status, named) == (400, param)


async def test_what_has_no_effect_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        fields = {"model": "ember", "input": "Hello", "user": "me", "tools": [FUNCTION, {"type": "web_search"}]}
        answers = [await api.http.post("/v1/responses", json={**fields, "stream": stream}) for stream in (False, True)]
    for answer in answers:
        assert answer.headers["x-hearth-ignored"] == "user, tools[].web_search"
    assert [tool["type"] for tool in answers[0].json()["tools"]] == ["function"]


async def test_a_conversation_that_is_too_long_loses_its_oldest_turns_where_that_is_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        n_ctx = model_info().n_ctx
        turns = [
            {"role": role, "content": f"{index} " + "x" * (n_ctx // 8)} for index in range(8) for role in ("user", "assistant")
        ]
        await ask(api, input=[*turns, {"role": "user", "content": "Hello"}], truncation="auto")
        assert PlainText("Hello") in api.engine.jobs[0].prompt
        assert PlainText(turns[0]["content"]) not in api.engine.jobs[0].prompt
        assert len(prompt_of(api)) < n_ctx
