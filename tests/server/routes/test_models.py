from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.models import ModelSource
from tests.fakes import installed_model
from tests.server.serving import serving

pytestmark = pytest.mark.anyio


async def test_models_that_can_be_used_are_listed(tmp_path: Path) -> None:
    broken = installed_model("broken", problem="It is truncated.")
    org = installed_model("org/model-GGUF/x.gguf", source=ModelSource.LIBRARY, n_ctx_train=0)
    async with serving(tmp_path, models=(installed_model(), org, broken), n_ctx=2048) as api:
        before = (await api.http.get("/v1/models")).json()
        await api.chat()
        after = (await api.http.get("/v1/models")).json()
    ember, other = before["data"]
    assert before["object"] == "list"
    assert {key: ember[key] for key in ("id", "object", "created", "owned_by")} == {
        "id": "ember",
        "object": "model",
        "created": 1767312000,
        "owned_by": "hearth",
    }
    assert (ember["state"], ember["loaded_context_length"], ember["max_context_length"]) == ("unloaded", None, 4096)
    assert (ember["context_length"], ember["max_model_len"]) == (4096, 4096)
    assert ember["meta"] == {"n_ctx": None, "n_ctx_train": 4096, "n_params": 1_000_000, "size": 2_000_000}
    assert ember["capabilities"] == ["chat", "completion", "vision"]
    assert (other["id"], other["owned_by"], other["context_length"]) == ("org/model-GGUF/x.gguf", "org", None)
    loaded = after["data"][0]
    assert (loaded["state"], loaded["loaded_context_length"]) == ("ready", 2048)
    assert (loaded["context_length"], loaded["max_model_len"], loaded["meta"]["n_ctx"]) == (2048, 2048, 2048)
    assert loaded["capabilities"] == ["chat", "completion", "reasoning", "tools", "vision"]
    assert (ember["memory_bytes"], ember["unload_at"], ember["gpu_layers"]) == (None, None, None)
    assert (loaded["memory_bytes"], loaded["gpu_layers"], loaded["active_requests"]) == (2_000_000, 0, 0)
    assert datetime.fromisoformat(loaded["unload_at"]) > datetime.now(UTC)


async def test_clients_of_anthropic_s_api_get_its_shape(tmp_path: Path) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    async with serving(tmp_path, models=(installed_model(), installed_model("org/x.gguf"))) as api:
        page = (await api.http.get("/v1/models?limit=1", headers=headers)).json()
        rest = (await api.http.get("/v1/models?after_id=ember", headers=headers)).json()
        one = (await api.http.get("/v1/models/org/x.gguf", headers=headers)).json()
        wrong = await api.http.get("/v1/models?limit=many", headers=headers)
    assert ([model["id"] for model in page["data"]], page["has_more"], page["last_id"]) == (["ember"], True, "ember")
    assert ([model["id"] for model in rest["data"]], rest["has_more"]) == (["org/x.gguf"], False)
    assert one == rest["data"][0]
    assert one["type"] == "model"
    assert wrong.status_code == 400
    assert "limit" in wrong.json()["error"]["message"]


@pytest.mark.parametrize("path", ["org/model/x.gguf", "org%2Fmodel%2Fx.gguf", "ORG/Model/X.gguf"])
async def test_a_model_is_found_by_an_id_with_slashes(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path, models=(installed_model("org/model/x.gguf"),)) as api:
        answer = await api.http.get(f"/v1/models/{path}")
    assert (answer.status_code, answer.json()["id"]) == (200, "org/model/x.gguf")


@pytest.mark.parametrize("path", ["nope", "../../etc/passwd", "%2e%2e%2fsettings.json", "C:%5Cx.gguf", "ember%00"])
async def test_a_model_that_is_not_installed_is_a_404_whatever_its_name_looks_like(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.get(f"/v1/models/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_model_is_retrieved_by_another_name_of_it(tmp_path: Path) -> None:
    async with serving(tmp_path, aliases={"gpt-4o-mini": "ember"}) as api:
        by_alias = await api.http.get("/v1/models/gpt-4o-mini")
        unknown = await api.http.get("/v1/models/gpt-4o")
    assert (by_alias.json()["id"], by_alias.json()["aliases"]) == ("ember", ["gpt-4o-mini"])
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_an_unknown_name_is_answered_by_another_model_only_where_a_person_chose_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        refused = await api.chat(model="gpt-4o")
    async with serving(tmp_path, fallback="ember") as api:
        answered = await api.chat(model="gpt-4o")
        retrieved = await api.http.get("/v1/models/gpt-4o")
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "model")
    assert (answered.json()["model"], answered.headers["x-hearth-model"]) == ("gpt-4o", "ember")
    assert retrieved.json()["id"] == "ember"


@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "rerank"])
async def test_every_endpoint_takes_the_context_that_a_request_needs(tmp_path: Path, path: str) -> None:
    bodies = {
        "chat/completions": {"model": "ember", "messages": [{"role": "user", "content": "Hello"}]},
        "completions": {"model": "ember", "prompt": "Hello"},
        "embeddings": {"model": "all-minilm", "input": "Hello"},
        "rerank": {"model": "ranker", "query": "Hello", "documents": ["Hello"]},
    }
    async with serving(tmp_path, n_ctx=512) as api:
        contexts = []
        for given in ({}, {"context_length": 300}, {"options": {"num_ctx": 2000}}, {"num_ctx": 1000}):
            answer = await api.http.post(f"/v1/{path}", json={**bodies[path], **given})
            assert answer.status_code == 200, answer.text
            contexts.append(api.engine.info.n_ctx)
        refused = await api.http.post(f"/v1/{path}", json={**bodies[path], "context_length": 5000})
    assert contexts == [512, 512, 2000, 2000]
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, "context_length", "invalid_value")
    assert "5000" in error["message"]
    assert "4096" in error["message"]


async def test_a_context_that_is_too_long_is_refused_before_anything_streams(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        refused = await api.chat(stream=True, context_length=1_000_000)
        assert api.launcher.configs == []
    assert refused.status_code == 400
