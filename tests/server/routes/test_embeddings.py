from __future__ import annotations

import base64
from pathlib import Path

import pytest

from app.domain.generation import Truncation
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


async def test_a_model_that_writes_makes_vectors_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/embeddings", json={"model": "ember", "input": "a", "truncate": True})
        assert api.engine.truncations == [Truncation.END]
    assert answer.status_code == 200


async def test_a_model_that_ranks_makes_no_vectors(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/embeddings", json={"model": "ranker", "input": "a"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
async def test_documents_are_ordered_by_their_scores(tmp_path: Path, path: str) -> None:
    request = {"model": "ranker", "query": "a", "documents": ["bb", {"text": "aa"}, "ab"], "top_n": 2, "user": "me"}
    async with serving(tmp_path) as api:
        answer = await api.http.post(path, json=request)
    assert answer.json() == {
        "model": "ranker",
        "object": "list",
        "results": [{"index": 1, "relevance_score": 1.0}, {"index": 2, "relevance_score": 0.5}],
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }
    assert answer.headers["x-hearth-ignored"] == "user"
    record = api.activity.records[-1]
    assert (record.model, record.prompt_tokens) == ("ranker", 9)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": "ember"}, "model"),
        ({"documents": []}, "documents"),
        ({"documents": ["a", ""]}, "documents[1]"),
        ({"documents": [{"image": "x"}]}, "documents[0].text"),
        ({"query": ""}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"truncate": "middle"}, "truncate"),
        ({"raw_scores": True}, "raw_scores"),
        ({"max_tokens_per_doc": 9}, "max_tokens_per_doc"),
    ],
)
async def test_a_ranking_that_can_not_be_is_refused_by_field(tmp_path: Path, changes: dict[str, object], param: str) -> None:
    request = {"model": "ranker", "query": "a", "documents": ["b"], **changes}
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/rerank", json=request)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
