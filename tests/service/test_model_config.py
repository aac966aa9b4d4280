from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.models import Capability
from app.engine.protocol import EngineConfig, LoraAdapter, RopeScaling
from app.service.model_config import effective_settings, engine_config, is_pinned
from app.settings import ModelSettings, SamplingSettings, Settings
from tests.fakes import installed_model

MODEL = installed_model("ember", projector=Path("/models/mmproj.gguf"))
EMBEDDER = installed_model("minilm", capabilities=frozenset({Capability.EMBEDDING}))


def _settings(**values: object) -> Settings:
    return Settings.model_validate(values)


def test_default_settings_are_the_engines_own_defaults() -> None:
    assert engine_config(MODEL, Settings()) == EngineConfig(MODEL.path, MODEL.projector)


def test_every_setting_reaches_the_engine() -> None:
    adapter = {"path": "/models/lora.gguf", "scale": 0.5}
    settings = _settings(
        n_ctx=1024,
        n_parallel=2,
        n_threads=3,
        gpu_layers=7,
        n_batch=512,
        n_ubatch=128,
        devices=("CUDA1",),
        tensor_split=(3.0, 1.0),
        cache_type_k="q8_0",
        cache_type_v="q4_0",
        flash_attention="on",
        use_mmap=False,
        use_mlock=True,
        rope_type="yarn",
        rope_factor=4.0,
        rope_freq_base=1e6,
        rope_original_ctx=32768,
        adapters=(adapter,),
        memory_check=False,
        n_draft=3,
        draft_model=Path("/models/small.gguf"),
    )
    assert engine_config(MODEL, settings) == EngineConfig(
        MODEL.path,
        MODEL.projector,
        n_ctx=1024,
        n_parallel=2,
        n_threads=3,
        n_gpu_layers=7,
        n_batch=512,
        n_ubatch=128,
        devices=("CUDA1",),
        tensor_split=(3.0, 1.0),
        cache_type_k="q8_0",
        cache_type_v="q4_0",
        flash_attention=True,
        use_mmap=False,
        use_mlock=True,
        rope=RopeScaling("yarn", 4.0, 1e6, 32768),
        adapters=(LoraAdapter(Path("/models/lora.gguf"), 0.5),),
        memory_check=False,
        n_draft=3,
        draft_path=Path("/models/small.gguf"),
    )


def test_a_models_own_settings_win_over_the_general_ones() -> None:
    settings = _settings(
        n_ctx=1024, n_threads=3, models={"ember": {"n_ctx": 0, "flash_attention": "off", "gpu_layers": "auto"}}
    )
    own, other = engine_config(MODEL, settings), engine_config(installed_model("other"), settings)
    assert (own.n_ctx, own.n_threads, own.flash_attention, own.n_gpu_layers) == (0, 3, False, None)
    assert (other.n_ctx, other.n_threads, other.flash_attention) == (1024, 3, None)


def test_general_adapters_are_not_for_embedding_models() -> None:
    settings = _settings(adapters=({"path": "/models/lora.gguf"},))
    assert engine_config(MODEL, settings).adapters
    embedder = engine_config(EMBEDDER, settings)
    assert embedder.embedding
    assert not embedder.adapters


def test_an_adapter_that_belongs_to_a_model_comes_before_those_that_were_chosen() -> None:
    settings = _settings(adapters=({"path": "/models/lora.gguf", "scale": 0.5},))
    own = replace(MODEL, adapters=(Path("/store/own"),))
    assert engine_config(own, settings).adapters == (
        LoraAdapter(Path("/store/own"), 1.0),
        LoraAdapter(Path("/models/lora.gguf"), 0.5),
    )


def test_a_model_is_pinned_by_its_own_settings() -> None:
    settings = _settings(models={"ember": {"pinned": True, "keep_alive_s": 5}})
    assert is_pinned("ember", settings)
    assert not is_pinned("other", settings)
    assert effective_settings("ember", settings).keep_alive_s == 5
    assert effective_settings("other", settings).keep_alive_s == Settings().keep_alive_s


def test_a_model_can_have_every_setting_of_the_engine_for_itself() -> None:
    general = {name for name in Settings.model_fields if name in ModelSettings.model_fields}
    assert general == set(ModelSettings.model_fields) - {"pinned", "sampling", "note"}


@pytest.mark.parametrize("name", sorted(ModelSettings.model_fields))
def test_what_a_model_has_no_opinion_on_is_left_alone(name: str) -> None:
    assert getattr(ModelSettings(), name) in (None, "", False, SamplingSettings())
