from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.errors import ModelLoadFailed
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig, LoraAdapter
from tests.engine.fakes import run, say
from tests.engine.tiny_models import write_bert, write_llama, write_lora


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, ember_path: Path) -> Path:
    return write_llama(tmp_path_factory.mktemp("lora") / "llama.gguf", ember_path)


def _answer(model: Path, *adapters: LoraAdapter) -> str:
    engine = load_engine(EngineConfig(model, n_ctx=256, adapters=adapters), on_progress=lambda _fraction: True)
    try:
        return run(engine, say("a", "Hello there", max_tokens=12)).texts["a"]
    finally:
        engine.close()


def test_an_adapter_changes_the_answers_as_much_as_its_scale_says(llama: Path, tmp_path: Path) -> None:
    adapter = write_lora(tmp_path / "lora.gguf")
    plain = _answer(llama)
    assert _answer(llama, LoraAdapter(adapter)) != plain
    assert _answer(llama, LoraAdapter(adapter, 0.0)) == plain


def test_two_adapters_add_up(llama: Path, tmp_path: Path) -> None:
    adapter = write_lora(tmp_path / "lora.gguf")
    there_and_back = (LoraAdapter(adapter), LoraAdapter(adapter, -1.0))
    assert _answer(llama, *there_and_back) == _answer(llama)


def _refusal(model: Path, adapter: Path) -> str:
    with pytest.raises(ModelLoadFailed) as caught:
        _answer(model, LoraAdapter(adapter))
    return caught.value.reason


def test_an_adapter_of_another_architecture_is_refused_by_name(llama: Path, tmp_path: Path) -> None:
    reason = _refusal(llama, write_lora(tmp_path / "other.gguf", architecture="qwen2"))
    assert "other.gguf can't be applied" in reason
    assert "arch mismatch" in reason


def test_an_adapter_of_another_size_is_refused(llama: Path, tmp_path: Path) -> None:
    assert "incorrect shape" in _refusal(llama, write_lora(tmp_path / "narrow.gguf", width=32))


def test_a_model_is_no_adapter(llama: Path) -> None:
    assert "can't be applied" in _refusal(llama, llama)


def test_a_missing_adapter_is_named(llama: Path, tmp_path: Path) -> None:
    assert "none.gguf does not exist" in _refusal(llama, tmp_path / "none.gguf")


def test_an_embedding_model_takes_no_adapter(tmp_path: Path, ember_path: Path) -> None:
    bert = write_bert(tmp_path / "bert.gguf", ember_path)
    assert "embedding model" in _refusal(bert, write_lora(tmp_path / "lora.gguf", architecture="bert"))
