from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.server.serving import serving

pytestmark = pytest.mark.anyio


async def test_texts_become_vectors(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/embeddings", json={"model": "all-minilm", "input": ["a", "bb"], "user": "me"})
    body = answer.json()
    assert [entry["embedding"] for entry in body["data"]] == [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert answer.headers["x-hearth-ignored"] == "user"
    assert api.activity.records[-1].prompt_tokens == 3


async def test_vectors_may_be_packed(tmp_path: Path) -> None:
    request = {"model": "all-minilm", "input": "a", "encoding_format": "base64", "dimensions": 2}
    async with serving(tmp_path) as api:
        body = (await api.http.post("/v1/embeddings", json=request)).json()
    assert len(base64.b64decode(body["data"][0]["embedding"])) == 8


async def test_a_model_that_makes_no_vectors_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/embeddings", json={"model": "ember", "input": "a"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"
