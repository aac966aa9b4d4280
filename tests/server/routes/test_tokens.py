from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.server.serving import HELLO, serving
from tests.server.wire.test_messages import PNG

pytestmark = pytest.mark.anyio


async def test_a_text_becomes_tokens_and_a_text_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        tokens = (await api.http.post("/tokenize", json={"model": "ember", "content": "Hi"})).json()
        same = (await api.http.post("/v1/tokenize", json={"model": "ember", "prompt": "Hi"})).json()
        text = (await api.http.post("/detokenize", json={"model": "ember", **tokens})).json()
        missing = await api.http.post("/tokenize", json={"model": "nope", "content": "Hi"})
    assert tokens == same == {"tokens": [72, 105], "count": 2, "max_model_len": 4096}
    assert text == {"content": "Hi", "prompt": "Hi"}
    assert missing.status_code == 404


async def test_tokens_come_with_their_texts_and_with_bytes_where_they_are_parts_of_characters(tmp_path: Path) -> None:
    asked = {"model": "ember", "content": "aé", "with_pieces": True}
    async with serving(tmp_path) as api:
        pieces = (await api.http.post("/tokenize", json=asked)).json()
        texts = (await api.http.post("/tokenize", json={"model": "ember", "prompt": "aé", "return_token_strs": True})).json()
    assert pieces["tokens"] == [{"id": 97, "piece": "a"}, {"id": 195, "piece": [195]}, {"id": 169, "piece": [169]}]
    assert texts["tokens"] == [97, 195, 169]
    assert texts["token_strs"] == ["a", "\ufffd", "\ufffd"]


async def test_messages_become_the_tokens_that_a_chat_would_read(tmp_path: Path) -> None:
    asked = {"model": "ember", "messages": HELLO["messages"]}
    async with serving(tmp_path) as api:
        tokens = (await api.http.post("/tokenize", json=asked)).json()
        count = (await api.http.post("/v1/chat/completions/input_tokens", json=asked)).json()
        prompt = (await api.http.post("/apply-template", json=asked)).json()
        answer = (await api.chat()).json()
    assert bytes(tokens["tokens"]) == b"<user>Hello<assistant>"
    assert prompt == {"prompt": "<user>Hello<assistant>"}
    assert count["input_tokens"] == tokens["count"] == answer["usage"]["prompt_tokens"]


async def test_a_picture_counts_and_is_shown_by_its_place(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}
    asked = {"model": "ember", "messages": [{"role": "user", "content": [picture]}]}
    async with serving(tmp_path) as api:
        tokens = (await api.http.post("/tokenize", json={**asked, "with_pieces": True})).json()
        prompt = (await api.http.post("/apply-template", json=asked)).json()
    assert tokens["tokens"].count({"id": -1, "piece": ""}) == 16
    assert prompt == {"prompt": "<user><__media__><assistant>"}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({}, "content"),
        ({"content": "a", "prompt": "a"}, "prompt"),
        ({"messages": []}, "messages"),
        ({"messages": HELLO["messages"], "chat_template_kwargs": {"tools": 1}}, "chat_template_kwargs.tools"),
    ],
)
async def test_what_to_tokenize_must_be_clear(tmp_path: Path, asked: dict[str, object], param: str) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/tokenize", json={"model": "ember", **asked})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_an_embedding_model_has_no_template_but_tokens(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        template = await api.http.post("/apply-template", json={**HELLO, "model": "all-minilm"})
        tokens = await api.http.post("/tokenize", json={"model": "all-minilm", "content": "Hi"})
    assert template.status_code == 400
    assert template.json()["error"]["code"] == "unsupported_content"
    assert tokens.json()["tokens"] == [72, 105]


@pytest.mark.parametrize("path", ["/apply-template", "/v1/chat/completions/input_tokens", "/tokenize"])
async def test_a_field_that_would_make_another_prompt_is_refused_and_others_are_told(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as api:
        told = await api.http.post(path, json={**HELLO, "user": "me"})
        refused = await api.http.post(path, json={**HELLO, "chat_template": "{{ messages }}"})
    assert (told.status_code, told.headers["x-hearth-ignored"]) == (200, "user")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "chat_template")


async def test_detokenizing_tells_what_had_no_effect(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/detokenize", json={"model": "ember", "tokens": [72], "skip_special_tokens": True})
    assert answer.headers["x-hearth-ignored"] == "skip_special_tokens"
