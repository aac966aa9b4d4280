"""Every part of a good request, replaced by every kind of nonsense: never a 5xx, always the endpoint's error shape."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import HELLO, Serving, serving

pytestmark = pytest.mark.anyio

FUNCTION = {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}, "strict": True}
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CHAT: dict[str, Any] = {
    "model": "ember",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "me", "content": [
            {"type": "text", "text": "Hello"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8=", "detail": "low"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Hm."},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    ],
    "stream": False, "stream_options": {"include_usage": True}, "max_tokens": 5, "max_completion_tokens": 5, "n": 1,
    "temperature": 1, "top_p": 1, "top_k": 1, "min_p": 0, "repeat_penalty": 1, "frequency_penalty": 0, "presence_penalty": 0,
    "seed": 1, "logit_bias": {"5": 1}, "stop": ["x"], "logprobs": True, "top_logprobs": 1,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}},
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "add"}},
    "parallel_tool_calls": True, "reasoning_effort": "low", "chat_template_kwargs": {"x": 1},
    "modalities": ["text"], "user": "me",
}  # fmt: skip
COMPLETION: dict[str, Any] = {
    "model": "ember", "prompt": ["a", "b"], "suffix": None, "echo": False, "n": 1, "best_of": 2, "stream": False,
    "stream_options": {}, "max_tokens": 5, "logprobs": 1, "seed": 1, "stop": "x", "logit_bias": {"5": 1},
}  # fmt: skip
EMBEDDING: dict[str, Any] = {"model": "all-minilm", "input": ["a"], "encoding_format": "float", "dimensions": 2, "user": "me"}
ANTHROPIC: dict[str, Any] = {
    "model": "ember",
    "max_tokens": 50,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "Hello"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"},
            {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "x"},
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"x": 1}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "2"}], "is_error": False},
        ]},
    ],
    "tools": [{"type": "custom", "name": "add", "description": "Adds.", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "add", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 5, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "stop_sequences": ["x"], "stream": False, "temperature": 1, "top_p": 1, "top_k": 1, "metadata": {"user_id": "me"},
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "model": "ember",
    "input": [
        {"role": "user", "id": "msg_1", "status": "completed", "content": [
            {"type": "input_text", "text": "Hello"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8=", "detail": "low"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "content": None,
         "encrypted_content": "hearth1.SG0u"},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}", "namespace": None},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "2"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "2", "annotations": []}]},
    ],
    "instructions": "Be brief.", "previous_response_id": None, "store": True, "stream": False, "max_output_tokens": 5,
    "include": ["reasoning.encrypted_content"], "max_tool_calls": 1, "metadata": {"a": "b"}, "truncation": "auto",
    "tools": [{"type": "function", **FUNCTION}, {"type": "namespace", "name": "n", "description": "",
                                                 "tools": [{"type": "function", **FUNCTION}]}, {"type": "web_search"}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "n.add"}]},
    "reasoning": {"effort": "low", "summary": "auto"}, "top_logprobs": 1, "temperature": 1, "background": False,
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}, "verbosity": "low"},
}  # fmt: skip
NONSENSE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, -(10**30), 1e300, "", "\x00", "data:,", [], {}, [None], [{}], ["x", 1], {"type": "function"}),
)


def places(node: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    if path:
        yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def spoiled(request: dict[str, Any], path: tuple[int | str, ...], value: Any) -> dict[str, Any]:
    whole: Any = copy.deepcopy(request)
    node = whole
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return whole  # type: ignore[no-any-return]


async def refuse_or_answer(api: Serving, path: str, request: dict[str, Any]) -> int:
    answer = await api.http.post(path, json=request)
    what = f"{json.dumps(request)[:600]} -> {answer.text[:300]}"
    assert answer.status_code in (200, 400, 404), what
    if answer.status_code != 200 and path.startswith("/v1/messages"):
        error = answer.json()["error"]
        assert set(error) <= {"type", "message", "details"}, what
        assert isinstance(error["message"], str), what
    elif answer.status_code != 200 and not request.get("stream"):
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}, what
        assert isinstance(error["message"], str), what
        assert error["code"] is None or isinstance(error["code"], str), what
        assert error["param"] is None or isinstance(error["param"], str), what
    return answer.status_code


@pytest.mark.parametrize(
    ("path", "request_body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/completions", COMPLETION),
        ("/v1/embeddings", EMBEDDING),
        ("/v1/messages", ANTHROPIC),
        ("/v1/messages/count_tokens", ANTHROPIC),
        ("/v1/responses", RESPONSE),
    ],
    ids=["chat", "completions", "embeddings", "messages", "count_tokens", "responses"],
)
async def test_nonsense_anywhere_is_refused_or_harmless(tmp_path: Path, path: str, request_body: dict[str, Any]) -> None:
    async with serving(tmp_path) as api:
        assert await refuse_or_answer(api, path, request_body) == 200
        seen = {
            await refuse_or_answer(api, path, spoiled(request_body, place, value))
            for place in places(request_body)
            for value in NONSENSE
        }
        assert seen >= {200, 400}
        assert (await api.http.post("/v1/chat/completions", json=HELLO)).status_code == 200
