from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from app.server.body import MAX_BODY_BYTES, MAX_VALUES, Pace
from app.server.endpoints import ENDPOINTS
from tests.server.serving import HELLO, RawClient, serving

pytestmark = pytest.mark.anyio


def say(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -2}, "max_completion_tokens"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"role": "pirate", "content": "Arr"}]}, "messages[0].role"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        (say([{"type": "image_url", "image_url": {}}]), "messages[0].content[0].image_url.url"),
        (say([{"type": "image_url", "image_url": {"url": 7}}]), "messages[0].content[0].image_url.url"),
        (say([{"type": "text", "text": 7}]), "messages[0].content[0].text"),
        (say([5]), "messages[0].content[0]"),
        (say(5), "messages[0].content"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools[0].function.name"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "add"}}}, "tool_choice"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "x", "tools": []}}},
            "tool_choice.allowed_tools.mode",
        ),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
    ],
)
async def test_a_wrong_value_is_named(tmp_path: Path, changes: dict[str, Any], param: str) -> None:
    async with serving(tmp_path) as api:
        answer = await api.chat(**changes)
        assert api.launcher.clients == []
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, "invalid_value")
    assert param in error["message"]


async def test_a_missing_field_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/chat/completions", json={"messages": HELLO["messages"]})
    assert answer.json()["error"]["message"] == "'model' is missing."
    assert answer.json()["error"]["param"] == "model"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"model": "ember", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "ember", "temperature": NaN, "messages": []}',
        b'{"seed": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_no_json_object_is_a_400(tmp_path: Path, body: bytes) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_programs_may_post_without_a_content_type(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for kind in ("application/x-www-form-urlencoded", "text/plain"):
            answer = await api.http.post("/v1/chat/completions", content=json.dumps(HELLO), headers={"content-type": kind})
            assert answer.status_code == 200


async def test_a_packed_body_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/chat/completions", content=b"x", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


async def test_a_body_announced_as_too_large_is_refused_unread(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        client = await RawClient.connect(api.port)
        await client.send(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n")
        answer = await client.until("}}")
        await client.close()
    assert answer.startswith("HTTP/1.1 413")
    assert "request_too_large" in answer


def test_a_body_may_be_slow_but_not_for_ever() -> None:
    pace = Pace(idle_s=30, grace_s=30, bytes_per_s=1000)
    assert pace.patience_s(elapsed_s=0, size=0) == 30
    # A byte every 29 seconds.
    assert pace.patience_s(elapsed_s=29, size=1) < 2
    # Slow, but it comes.
    assert pace.patience_s(elapsed_s=3600, size=3_600_000) == 30
    assert pace.patience_s(elapsed_s=50, size=30_000) == 10


async def test_a_body_that_turns_out_too_large_is_refused(tmp_path: Path) -> None:
    async def endless() -> Any:
        for _ in range(MAX_BODY_BYTES // 2**22 + 1):
            yield b" " * 2**22

    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/completions", content=endless())
        assert (await api.chat()).status_code == 200
    assert answer.status_code == 413


MANY: list[Any] = [{}] * 300_000
ASKED = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("path", "changes", "param"),
    [
        ("/v1/chat/completions", {"messages": MANY}, "messages[0].role"),
        ("/v1/chat/completions", say(MANY), "messages[0].content[0].type"),
        ("/v1/chat/completions", {"messages": ASKED, "stop": MANY}, "stop[0]"),
        ("/v1/chat/completions", {"messages": ASKED, "tools": MANY}, "tools[0].type"),
        (
            "/v1/chat/completions",
            {"messages": ASKED, "logit_bias": dict.fromkeys(map(str, range(300_000)), "")},
            "logit_bias.0",
        ),
        ("/v1/completions", {"prompt": MANY}, "prompt[0]"),
        ("/v1/completions", {"prompt": [MANY]}, "prompt[0][0]"),
        ("/v1/embeddings", {"input": MANY}, "input[0]"),
        ("/v1/embeddings", {"input": [MANY]}, "input[0][0]"),
        ("/v1/rerank", {"query": "x", "documents": MANY}, "documents[0].text"),
        ("/v1/messages", {"max_tokens": 5, "messages": MANY}, "messages[0].role"),
        ("/v1/messages", {"max_tokens": 5, **say(MANY)}, "messages[0].content[0]"),
        ("/v1/messages", {"max_tokens": 5, "messages": ASKED, "system": MANY}, "system[0].type"),
        ("/v1/responses", {"input": MANY}, "input[0].role"),
        ("/v1/responses", {"input": [{"role": "user", "content": MANY}]}, "input[0].content[0].type"),
        ("/v1/responses", {"input": "x", "metadata": dict.fromkeys(map(str, range(300_000)), 5)}, "metadata.0"),
        ("/detokenize", {"tokens": MANY}, "tokens[0]"),
    ],
)
async def test_of_many_mistakes_one_is_looked_at(tmp_path: Path, path: str, changes: dict[str, Any], param: str) -> None:
    body = json.dumps({"model": "ember", **changes})
    async with serving(tmp_path) as api:
        tracemalloc.start()
        try:
            answer = await api.http.post(path, content=body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.status_code == 400
    assert param in answer.json()["error"]["message"]
    assert peak < 150 * 2**20


@pytest.mark.parametrize(
    "model", dict.fromkeys(endpoint.body for endpoint in ENDPOINTS if endpoint.body), ids=lambda model: model.__name__
)
def test_no_list_is_looked_through_after_a_mistake(model: type[BaseModel]) -> None:
    assert list(_patient(model.__pydantic_core_schema__)) == []


def _patient(schema: Any) -> Iterator[Any]:
    """Lists and maps that go on after an item that is wrong, where any can be."""
    if isinstance(schema, list | tuple):
        for part in schema:
            yield from _patient(part)
    if not isinstance(schema, dict):
        return
    items = schema.get("items_schema") if schema.get("type") == "list" else schema.get("values_schema")
    if schema.get("type") in ("list", "dict") and not schema.get("fail_fast") and _can_be_wrong(items):
        yield schema
    for name, part in schema.items():
        if name not in ("python_schema", "serialization", "metadata"):
            yield from _patient(part)


def _can_be_wrong(items: Any) -> bool:
    return items is not None and items["type"] != "any" and "JsonValue" not in items.get("schema_ref", "")


async def test_a_body_of_too_many_values_is_refused_before_they_are_made(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for value in ("{}", "[]", "1"):
            body = f'{{"model": "ember", "x": [{",".join([value] * MAX_VALUES)}]}}'
            answer = await api.http.post("/v1/chat/completions", content=body)
            assert answer.status_code == 400
            assert "1,500,000 values" in answer.json()["error"]["message"]
        commas = {"role": "user", "content": '[{,"\\' * (MAX_VALUES // 2)}
        assert (await api.chat(messages=[commas])).status_code == 200
