from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.generation import SamplerStep, SamplingParams
from app.engine.llama.model import LlamaModel, LlamaVocabulary
from tests.engine.tiny_models import write_llama


@pytest.fixture(scope="module")
def vocabulary(ember_model: LlamaModel) -> LlamaVocabulary:
    return ember_model.vocabulary


def test_a_model_knows_what_its_header_says(ember_model: LlamaModel) -> None:
    assert ember_model.name == "Ember"
    assert ember_model.architecture == "qwen3"
    assert (ember_model.n_ctx_train, ember_model.n_embd, ember_model.n_layers) == (2048, 256, 6)
    assert ember_model.is_causal
    assert not ember_model.is_recurrent
    assert ember_model.n_window == 0
    assert ember_model.metadata("no.such.key") == ""


def test_a_file_may_recommend_how_to_sample(ember_model: LlamaModel) -> None:
    assert ember_model.metadata("general.sampling.temp")
    assert ember_model.sampling == SamplingParams(temperature=0.0)


def test_loading_stops_when_asked_to_or_when_asking_fails(ember_path: Path) -> None:
    def fails(_fraction: float) -> bool:
        raise RuntimeError("a bug in the caller")

    for on_progress in (lambda _fraction: False, fails):
        assert LlamaModel.load(ember_path, n_gpu_layers=0, on_progress=on_progress) is None


def test_a_folder_with_another_alphabet_is_found(ember_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "модель 模型.gguf"
    path.symlink_to(ember_path)
    model = LlamaModel.load(path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    model.close()
    model.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(text=st.text(max_size=80))
def test_pieces_put_together_are_the_text(vocabulary: LlamaVocabulary, text: str) -> None:
    ids = vocabulary.tokenize(text, parse_special=False)
    assert b"".join(map(vocabulary.piece, ids)) == text.encode("utf-8", "replace")


def test_control_tokens_are_read_only_where_they_are_wanted(vocabulary: LlamaVocabulary) -> None:
    (end,) = vocabulary.tokenize("<|im_end|>", parse_special=True)
    assert vocabulary.is_control(end)
    assert vocabulary.is_eog(end)
    assert vocabulary.piece(end) == b"<|im_end|>"
    assert end not in vocabulary.tokenize("<|im_end|>", parse_special=False)


def test_markers_find_every_control_token_in_a_text(vocabulary: LlamaVocabulary) -> None:
    assert vocabulary.markers is not None
    assert vocabulary.markers.findall("a<|im_start|>b<tool_call>c</think>d<b>") == ["<|im_start|>", "<tool_call>", "</think>"]


def test_ordinary_words_are_no_control_tokens(vocabulary: LlamaVocabulary) -> None:
    assert not any(vocabulary.is_control(token) for token in vocabulary.tokenize("Hello <b>you</b>", parse_special=True))


def test_texts_of_special_tokens(vocabulary: LlamaVocabulary) -> None:
    assert vocabulary.special_text("eos") == "<|im_end|>"
    assert vocabulary.special_text("fim_pre") == "<|fim_prefix|>"
    assert vocabulary.special_text("sep") == ""
    assert not vocabulary.adds_bos
    assert not vocabulary.adds_space


def test_sampling_is_what_the_file_recommends_within_reason(ember_path: Path, tmp_path: Path) -> None:
    said = {"temp": 0.6, "top_k": 20.0, "top_p": 7.0, "min_p": float("nan"), "penalty_repeat": 1.1}
    path = write_llama(tmp_path / "m.gguf", ember_path, floats={f"general.sampling.{k}": v for k, v in said.items()})
    model = LlamaModel.load(path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    sampling, defaults = model.sampling, SamplingParams()
    model.close()
    assert (sampling.temperature, sampling.repeat_penalty) == pytest.approx((0.6, 1.1))
    assert sampling.top_k == 20
    assert (sampling.top_p, sampling.min_p) == (defaults.top_p, defaults.min_p)


def test_every_key_that_llama_cpp_knows_feeds_the_defaults(ember_path: Path, tmp_path: Path) -> None:
    floats = {"xtc_probability": 0.5, "xtc_threshold": 0.25, "mirostat": 2.0, "mirostat_tau": 4.0, "mirostat_eta": 0.5}
    path = write_llama(
        tmp_path / "m.gguf",
        ember_path,
        floats={f"general.sampling.{key}": value for key, value in floats.items()},
        texts={"general.sampling.sequence": "penalties;top_k;temperature"},
    )
    model = LlamaModel.load(path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    sampling = model.sampling
    model.close()
    assert {key: getattr(sampling, key) for key in floats} == floats
    assert sampling.samplers == (SamplerStep.PENALTIES, SamplerStep.TOP_K, SamplerStep.TEMPERATURE)


def test_a_vocabulary_knows_its_ends_and_what_it_must_not_write(vocabulary: LlamaVocabulary) -> None:
    assert vocabulary.tokenize("<|im_end|>", parse_special=True)[0] in vocabulary.eog_tokens
    assert vocabulary.suppressed_tokens == []
