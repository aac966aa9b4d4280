"""Engines on real files, shared by the tests of one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine.engine import Engine
from app.engine.llama.model import LlamaModel
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig
from tests.engine.tiny_models import WRITERS


@pytest.fixture(scope="session")
def ember(ember_path: Path, ember_projector_path: Path) -> Iterator[Engine]:
    """Ember with its projector; nothing runs on it between tests, but it remembers prompts."""
    config = EngineConfig(ember_path, ember_projector_path, n_parallel=8)
    engine = load_engine(config, on_progress=lambda _fraction: True)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def ember_model(ember_path: Path) -> Iterator[LlamaModel]:
    model = LlamaModel.load(ember_path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    yield model
    model.close()


@pytest.fixture(scope="session", params=sorted(WRITERS))
def tiny_path(request: pytest.FixtureRequest, ember_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of each kind of memory in turn."""
    return WRITERS[request.param](tmp_path_factory.mktemp("tiny") / f"{request.param}.gguf", ember_path)
