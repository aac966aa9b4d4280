from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.serving import serving

pytestmark = pytest.mark.anyio


async def test_a_text_becomes_tokens_and_a_text_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        tokens = (await api.http.post("/tokenize", json={"model": "ember", "content": "Hi"})).json()
        text = (await api.http.post("/detokenize", json={"model": "ember", **tokens})).json()
        missing = await api.http.post("/tokenize", json={"model": "nope", "content": "Hi"})
    assert tokens == {"tokens": [72, 105]}
    assert text == {"content": "Hi"}
    assert missing.status_code == 404
