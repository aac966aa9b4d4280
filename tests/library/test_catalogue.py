"""The names that people know models by."""

from __future__ import annotations

import re

import pytest

from app.domain.models import Capability
from app.library.catalogue import Catalogue
from app.library.hub_address import parse_address
from app.library.names import quantization_in
from app.paths import resource


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.read(resource("catalogue.json"))


def test_every_entry_can_be_asked_for_and_downloaded(catalogue: Catalogue) -> None:
    assert len({model.name for model in catalogue.models}) == len(catalogue.models) > 100
    for model in catalogue.models:
        meaning = catalogue.meaning(model.name)
        assert meaning is not None, model.name
        assert meaning.models == (model,), model.name
        assert parse_address(model.repository).repository == model.repository
        assert quantization_in(model.quantization) == model.quantization
        assert model.capabilities & {Capability.CHAT, Capability.EMBEDDING, Capability.RERANK}
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*:[a-z0-9][a-z0-9.-]*", model.name)
        assert 0 < model.size_bytes < 100e9
        assert model.about
        assert re.fullmatch(r"[\d.]+[BM]", model.parameters)


def test_no_two_entries_claim_the_same_files(catalogue: Catalogue) -> None:
    owners: dict[str, str] = {}
    for model in catalogue.models:
        for stem in model.stems:
            assert owners.setdefault(stem, model.name) == model.name, stem


@pytest.mark.parametrize(
    "name",
    [
        *("llama3.2", "llama3.2:3b", "llama3.1:8b", "llava", "all-minilm", "qwen3", "qwen3:4b", "gemma3", "gemma3:12b"),
        *("gpt-oss:20b", "deepseek-r1", "mistral", "phi4", "nomic-embed-text", "mxbai-embed-large", "qwen2.5vl", "moondream"),
    ],
)
def test_the_names_of_everyones_examples_are_known(catalogue: Catalogue, name: str) -> None:
    meaning = catalogue.meaning(name)
    assert meaning is not None
    assert meaning.name == name
    assert catalogue.meaning(f"{name}:latest" if ":" not in name else name) == meaning


@pytest.mark.parametrize(
    ("name", "model", "quantization"),
    [
        ("Llama3.2", "llama3.2:3b", ""),
        ("llama3.2:1b", "llama3.2:1b", ""),
        ("llama3.2:3b-instruct-q8_0", "llama3.2:3b", "Q8_0"),
        ("llama3.2:3b-instruct-fp16", "llama3.2:3b", "F16"),
        ("gemma3:4b-it-q4_K_M", "gemma3:4b", "Q4_K_M"),
        ("qwen3:4b", "qwen3:4b", ""),
        ("qwen3:4b-q8_0", "qwen3:4b", "Q8_0"),
        ("qwen3:4b-instruct", "qwen3:4b-instruct", ""),
        ("qwen3:4b-instruct-2507-q4_K_M", "qwen3:4b-instruct", "Q4_K_M"),
        ("deepseek-r1:8b", "deepseek-r1:8b", ""),
        ("deepseek-r1:8b-llama-distill-q4_K_M", "deepseek-r1:8b-llama-distill", "Q4_K_M"),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama3.2:3b", ""),
        ("Llama-3.2-3B-Instruct", "llama3.2:3b", ""),
        ("llama-3.2-3b-instruct:q8_0", "llama3.2:3b", "Q8_0"),
        ("openai/gpt-oss-20b", "gpt-oss:20b", ""),
    ],
)
def test_a_name_tells_the_model_and_the_quantization(catalogue: Catalogue, name: str, model: str, quantization: str) -> None:
    meaning = catalogue.meaning(name)
    assert meaning is not None
    assert (meaning.model.name, meaning.quantization) == (model, quantization)


@pytest.mark.parametrize("name", ["gpt-4o", "llama3.2:7b", "llama3.1:8b-text", "llama3.2:3b-poetry", "", ":", "phi4:", "a:b:c"])
def test_other_names_mean_nothing_or_the_family_alone(catalogue: Catalogue, name: str) -> None:
    meaning = catalogue.meaning(name)
    assert meaning is None or (name == "phi4:" and meaning.model.family == "phi4")


@pytest.mark.parametrize(
    ("stem", "folder", "name"),
    [
        ("Llama-3.2-3B-Instruct-Q4_K_M", "", "llama3.2:3b"),
        ("llama-3.2-3b-instruct.Q8_0", "", "llama3.2:3b"),
        ("Meta-Llama-3.1-8B-Instruct-IQ4_XS", "", "llama3.1:8b"),
        ("Llama-3.1-8B-Instruct-UD-Q4_K_XL", "", "llama3.1:8b"),
        ("google_gemma-3-4b-it-Q4_K_M", "", "gemma3:4b"),
        ("gemma-3-4b-it-qat-q4_0", "", "gemma3:4b"),
        ("Qwen3VL-4B-Instruct-Q4_K_M", "", "qwen3-vl:4b"),
        ("Qwen3-4B.i1-Q4_K_M", "", "qwen3:4b"),
        ("gpt-oss-20b-mxfp4", "", "gpt-oss:20b"),
        ("ggml-model-Q4_K_M", "MiniCPM-V-2_6-gguf", "minicpm-v:8b"),
        ("moondream2-text-model-f16_ct-vicuna", "moondream2-20250414-GGUF", "moondream:1.8b"),
        ("Qwen3-0.6B-Q8_0", "Qwen3-4B-GGUF", "qwen3:0.6b"),
    ],
)
def test_a_file_is_known_whoever_quantized_it(catalogue: Catalogue, stem: str, folder: str, name: str) -> None:
    model = catalogue.model_of(stem, folder)
    assert model is not None
    assert model.name == name


@pytest.mark.parametrize("stem", ["ember", "my_Llama-3.2-3B-Instruct-Q4_K_M", "Llama-3.2-3B-Instruct-uncensored-Q4_K_M"])
def test_what_was_made_of_a_model_is_not_that_model(catalogue: Catalogue, stem: str) -> None:
    assert catalogue.model_of(stem, "") is None


def test_a_slip_of_the_pen_brings_the_right_names(catalogue: Catalogue) -> None:
    assert "llama3.2" in catalogue.near("lama3.2")
    assert "qwen3:14b" in catalogue.near("qwen3:15b")
    assert catalogue.near("zzz") == ()
