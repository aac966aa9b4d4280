from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.serving import embedder, serving

pytestmark = pytest.mark.anyio


async def test_an_unknown_path_or_method_is_an_error_in_the_usual_shape(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        path = await api.http.post("/v1/images/generations", json={})
        method = await api.http.delete("/v1/models/ember")
    assert (path.status_code, path.json()["error"]["code"]) == (404, "unknown_url")
    assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET"


async def test_the_plain_routes_say_what_this_is(tmp_path: Path) -> None:
    async with serving(tmp_path, models=(embedder(),)) as api:
        for path in ("/", "/v1", "/v1/"):
            assert (await api.http.get(path)).json()["name"] == "Hearth"
        assert (await api.http.head("/health")).status_code == 200
        assert (await api.http.get("/v1/models/")).json()["object"] == "list"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/chat/completions", "POST"),
        ("/v1/responses/resp_1", "GET, DELETE"),
        ("/v1/models/a/b", "GET"),
        ("/health", "GET, HEAD"),
    ],
)
async def test_a_refused_method_is_told_which_others_there_are(tmp_path: Path, path: str, allowed: str) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.put(path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
