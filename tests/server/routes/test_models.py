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
    async with serving(tmp_path, models=(installed_model(), org, broken)) as api:
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
    assert "vision" in ember["capabilities"]
    assert (other["id"], other["owned_by"], other["context_length"]) == ("org/model-GGUF/x.gguf", "org", None)
    loaded = after["data"][0]
    assert (loaded["state"], loaded["loaded_context_length"]) == ("ready", 4096)
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
