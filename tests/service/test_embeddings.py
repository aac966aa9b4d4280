from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.domain.errors import UnsupportedContent
from app.domain.generation import EmbeddingRequest, RerankRequest, Truncation
from app.domain.models import Capability, ModelState
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.settings import SettingsStore
from tests.fakes import FakeLauncher, FakeLibrary, installed_model

pytestmark = pytest.mark.anyio


class Bench:
    def __init__(self, tmp_path: Path) -> None:
        self.launcher = FakeLauncher()
        library = FakeLibrary(
            installed_model("ember"),
            installed_model("mini", capabilities=frozenset({Capability.EMBEDDING})),
            installed_model("ranker", capabilities=frozenset({Capability.RERANK})),
        )
        settings = SettingsStore(tmp_path / "settings.json")
        self.models = ModelManager(library, self.launcher, settings)
        self.embeddings = EmbeddingService(self.models)


@pytest.mark.parametrize("model", ["mini", "ember"])
async def test_embeddings_come_one_per_input_also_from_a_model_that_writes(tmp_path: Path, model: str) -> None:
    bench = Bench(tmp_path)
    result = await bench.embeddings.embed(EmbeddingRequest(model, ("one", (1, 2)), Truncation.START))
    assert [len(vector) for vector in result.vectors] == [16, 16]
    assert result.prompt_tokens == 5
    assert bench.launcher.client.truncations == [Truncation.START]


async def test_scores_come_one_per_document(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    result = await bench.embeddings.rerank(RerankRequest("ranker", "a", ("b", "a", "ab"), Truncation.END))
    assert result.scores == (0.0, 1.0, 0.5)
    assert bench.launcher.client.truncations == [Truncation.END]


async def test_a_request_can_send_its_model_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    gone: asyncio.Queue[str] = asyncio.Queue()
    bench.models.changed.subscribe(lambda model: gone.put_nowait(model.id) if model.state is ModelState.UNLOADED else None)
    await bench.embeddings.embed(EmbeddingRequest("mini", ("one",), keep_alive_s=0))
    assert await asyncio.wait_for(gone.get(), 5) == "mini"
    await bench.embeddings.rerank(RerankRequest("ranker", "a", ("b",), keep_alive_s=0))
    assert await asyncio.wait_for(gone.get(), 5) == "ranker"


async def test_a_model_of_the_other_kind_is_refused_without_loading_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(UnsupportedContent, match="/v1/rerank"):
        await bench.embeddings.embed(EmbeddingRequest("ranker", ("one",)))
    for model in ("mini", "ember"):
        with pytest.raises(UnsupportedContent, match="Use a reranker"):
            await bench.embeddings.rerank(RerankRequest(model, "a", ("b",)))
    assert bench.launcher.configs == []
