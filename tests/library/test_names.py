"""What names say, and which model a name means."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.errors import ModelNotFound
from app.domain.models import InstalledModel, ModelSource
from app.library.names import ModelNames, Shard, base_name, quantization_in, shard_of


def installed(model_id: str, quantization: str = "", problem: str | None = None) -> InstalledModel:
    path = Path(f"{model_id}.gguf")
    return InstalledModel(
        id=model_id,
        name=model_id,
        path=path,
        projector=None,
        files=(path,),
        size_bytes=1,
        architecture="llama",
        quantization=quantization or quantization_in(model_id),
        parameters=1,
        n_ctx_train=1,
        capabilities=frozenset(),
        source=ModelSource.LIBRARY,
        modified=datetime.now(UTC),
        problem=problem,
    )


def names(*models: InstalledModel, folder: str = "org/repo-GGUF") -> ModelNames:
    return ModelNames((model, f"{folder}/{model.id}") for model in models)


@pytest.mark.parametrize(
    ("name", "quantization", "base"),
    [
        ("Qwen3-8B-Q4_K_M", "Q4_K_M", "Qwen3-8B"),
        ("Qwen3.5-4B-UD-Q4_K_XL", "UD-Q4_K_XL", "Qwen3.5-4B"),
        ("qwen2.5-coder-7b-instruct-q4_k_m", "Q4_K_M", "qwen2.5-coder-7b-instruct"),
        ("Model.i1-IQ4_XS", "IQ4_XS", "Model.i1"),
        ("gpt-oss-20b-mxfp4", "MXFP4", "gpt-oss-20b"),
        ("mmproj-F16", "F16", "mmproj"),
        ("Ministral-3-3B-BF16-mmproj", "BF16", "Ministral-3-3B-mmproj"),
        ("Qwen-fp16", "F16", "Qwen"),
        ("embeddinggemma-300M-qat-q4_0", "Q4_0", "embeddinggemma-300M-qat"),
        ("ember", "", "ember"),
        ("UnQ4_0ted", "", "UnQ4_0ted"),
    ],
)
def test_a_name_tells_its_quantization(name: str, quantization: str, base: str) -> None:
    assert quantization_in(name) == quantization
    assert base_name(name) == base


def test_a_shard_is_known_by_its_number() -> None:
    assert shard_of("Big-Q4_K_M-00002-of-00003") == Shard("Big-Q4_K_M", 2, 3)
    assert shard_of("Big-Q4_K_M") is None


@pytest.mark.parametrize(
    "name",
    [
        "Qwen3-8B-Q4_K_M",
        "qwen3-8b-q4_k_m",
        " Qwen3-8B-Q4_K_M.gguf",
        "Qwen3-8B",
        "qwen3-8b:q4_k_m",
        "org/repo-GGUF",
        "org/repo",
        "org/repo:Q4_K_M",
        "org/repo-GGUF/Qwen3-8B-Q4_K_M",
    ],
)
def test_a_model_answers_to_its_id_its_repository_and_their_short_forms(name: str) -> None:
    model = installed("Qwen3-8B-Q4_K_M")

    assert names(model, installed("ember"), folder="org/repo-GGUF").find("ember").id == "ember"
    assert names(model, folder="org/repo-GGUF").find(name) is model


def test_a_short_form_that_fits_two_models_names_both() -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(installed("Qwen3-8B-Q4_K_M"), installed("Qwen3-8B-Q8_0")).find("qwen3-8b")

    assert set(caught.value.near) == {"Qwen3-8B-Q4_K_M", "Qwen3-8B-Q8_0"}


def test_a_usable_model_goes_before_a_broken_one() -> None:
    good = installed("Qwen3-8B-Q8_0")

    assert names(installed("Qwen3-8B-Q4_K_M", problem="It is incomplete."), good).find("Qwen3-8B") is good


def test_the_exact_id_wins_over_another_case() -> None:
    lower, upper = installed("model"), installed("MODEL")

    assert names(lower, upper).find("model") is lower
    assert names(lower, upper).find("MODEL") is upper
    with pytest.raises(ModelNotFound):
        names(lower, upper).find("Model")


@pytest.mark.parametrize("typo", ["embr", "Qwen3-8B-Q4KM", "qwen3-8"])
def test_an_unknown_name_brings_similar_ones(typo: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(installed("ember"), installed("Qwen3-8B-Q4_K_M")).find(typo)

    assert len(caught.value.near) == 1
    assert caught.value.near[0] in str(caught.value)


def test_a_name_like_no_other_brings_no_hint() -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(installed("ember")).find("gpt-4o")

    assert caught.value.near == ()
