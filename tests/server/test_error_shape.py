"""Errors as Anthropic's clients read them, wherever they come from; everybody else gets OpenAI's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic.types
import httpx2
import pytest
from starlette.types import Scope

from app.domain.errors import EngineBusy, EngineCrashed, EngineStopped
from app.server.error_shape import anthropic_error, error_response, identify, speaks_anthropic
from app.server.errors import Problem, http_problem
from app.server.metrics import Metrics
from app.server.recording import Recorder
from app.service.activity import Activity
from tests.fakes import Answer, FakeLibrary
from tests.server.serving import HELLO, serving

pytestmark = pytest.mark.anyio

ASK = {**HELLO, "max_tokens": 9}


def scope(path: str, **headers: str) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    made: Scope = {"type": "http", "path": path, "headers": raw}
    identify(made, "req_1")
    return made


def told(answer: httpx2.Response) -> tuple[int, str]:
    body = answer.json()
    anthropic.types.ErrorResponse.model_validate(body)
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    return answer.status_code, body["error"]["type"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"])
async def test_the_paths_of_anthropic_s_api_have_its_shape(path: str) -> None:
    assert speaks_anthropic(scope(path))


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/v1/messagesx", "/", "/v1"])
async def test_elsewhere_the_client_s_own_header_decides(path: str) -> None:
    assert not speaks_anthropic(scope(path))
    assert speaks_anthropic(scope(path, anthropic_version="2023-06-01"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"), (404, "not_found_error")),
        *(
            (405, "invalid_request_error"),
            (413, "request_too_large"),
            (415, "invalid_request_error"),
            (422, "invalid_request_error"),
        ),
        *((429, "rate_limit_error"), (500, "api_error"), (503, "overloaded_error")),
    ],
)
async def test_a_status_has_anthropic_s_word_for_it(status: int, kind: str) -> None:
    body = anthropic_error(http_problem(status, "No."), "req_1")
    assert body == {"type": "error", "error": {"type": kind, "message": "No."}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("message", "expected"), [("It is empty.", "tools[0].name: It is empty."), ("'tools[0].name' is empty.", None)]
)
async def test_the_message_says_where_the_mistake_is(message: str, expected: str | None) -> None:
    body = anthropic_error(Problem(400, message, "invalid_request_error", param="tools[0].name"), "req_1")
    assert body["error"]["message"] == (expected or message)


async def test_headers_of_a_problem_go_with_either_shape() -> None:
    problem = http_problem(503, "Bye.", headers=(("retry-after", "2"),))
    for path in ("/v1/messages", "/v1/chat/completions"):
        answer = error_response(scope(path), problem)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "invalid_request_error")),
        ({**ASK, "model": "nope"}, (404, "not_found_error")),
        ({**ASK, "model": "all-minilm"}, (400, "invalid_request_error")),
        ({**ASK, "temperature": 1.5}, (400, "invalid_request_error")),
        ({**ASK, "mcp_servers": [{}]}, (400, "invalid_request_error")),
    ],
)
async def test_a_bad_request_is_told_in_that_shape(tmp_path: Path, body: dict[str, Any], expected: tuple[int, str]) -> None:
    async with serving(tmp_path) as api:
        assert told(await api.http.post("/v1/messages", json=body)) == expected
        assert told(await api.http.post("/v1/messages", json={**body, "stream": True})) == expected


async def test_what_the_layers_around_refuse_has_it_too(tmp_path: Path) -> None:
    async with serving(tmp_path, api_key="secret") as api:
        key = {"x-api-key": "secret"}
        path = "/v1/messages"
        assert told(await api.http.post(path, json=ASK)) == (401, "authentication_error")
        assert told(await api.http.post(path, json=ASK, headers={**key, "host": "evil.example"})) == (403, "permission_error")
        origin = {**key, "origin": "https://evil.example"}
        assert told(await api.http.post(path, json=ASK, headers=origin)) == (403, "permission_error")
        page = {**key, "origin": "http://localhost:3000", "content-type": "text/plain"}
        assert told(await api.http.post(path, content=b"{}", headers=page)) == (415, "invalid_request_error")
        packed = {**key, "content-encoding": "gzip"}
        assert told(await api.http.post(path, content=b"{}", headers=packed)) == (415, "invalid_request_error")
        assert told(await api.http.post(path, content=b"{", headers=key)) == (400, "invalid_request_error")
        assert told(await api.http.get(path, headers=key)) == (405, "invalid_request_error")
        assert told(await api.http.get("/v1/messages/batches", headers=key)) == (404, "not_found_error")
        version = {**key, "anthropic-version": "2023-06-01"}
        assert told(await api.http.get("/v1/files", headers=version)) == (404, "not_found_error")
        assert told(await api.http.get("/v1/models/nope", headers=version)) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("error", "expected", "header"),
    [
        (EngineBusy(retry_after_s=3), (429, "rate_limit_error"), ("retry-after", "3")),
        (EngineStopped(), (503, "overloaded_error"), ("retry-after", "1")),
        (EngineCrashed(exit_code=-6), (500, "api_error"), ("x-should-retry", "false")),
    ],
)
async def test_a_failure_of_the_engine_has_it_with_its_headers(
    tmp_path: Path, error: Any, expected: tuple[int, str], header: tuple[str, str]
) -> None:
    async with serving(tmp_path, Answer(error=error)) as api:
        answer = await api.http.post("/v1/messages", json=ASK)
    assert told(answer) == expected
    assert answer.headers[header[0]] == header[1]


async def test_a_bug_has_it_as_well() -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    transport = httpx2.ASGITransport(Recorder(broken, Activity(), Metrics(tuple), FakeLibrary()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.post("/v1/messages", json=ASK)
    assert told(answer) == (500, "api_error")
    assert "secret" not in answer.text


async def test_a_thread_is_refused_in_the_words_that_make_the_official_client_do_without(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/messages", json={**ASK, "thread": {"type": "create"}})
    assert told(answer) == (400, "invalid_request_error")
    assert answer.json()["error"]["details"] == {"error_code": "thread_unsupported_request"}


async def test_other_clients_are_spared_the_second_id(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.chat(model="nope")
    assert "request-id" not in answer.headers
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
