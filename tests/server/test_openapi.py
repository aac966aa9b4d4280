from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.serving import serving

pytestmark = pytest.mark.anyio


async def test_the_api_describes_itself_completely(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.get("/openapi.json")
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    for path in (
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/embeddings",
        "/v1/rerank",
        "/v1/models",
        "/v1/models/{model_id}",
        "/health",
    ):
        assert path in document["paths"]
    for reference in {part.split('"')[0] for part in answer.text.split('"$ref":"')[1:]}:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    assert "http:" not in answer.text
    assert "https:" not in answer.text.replace("https: ", "")
