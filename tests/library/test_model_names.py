"""Which model a name means."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.errors import ModelNotFound
from app.domain.models import InstalledModel, ModelSource
from app.library.catalogue import Catalogue
from app.library.model_names import ModelNames
from app.library.names import quantization_in
from app.paths import resource

CATALOGUE = Catalogue.read(resource("catalogue.json"))


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
    return ModelNames(((model, f"{folder}/{model.id}") for model in models), CATALOGUE)


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

    assert names(model, installed("ember"), folder="org/repo-GGUF").find("ember", {}).id == "ember"
    assert names(model, folder="org/repo-GGUF").find(name, {}) is model


def test_a_short_form_that_fits_two_models_names_both() -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(installed("Qwen3-8B-Q4_K_M"), installed("Qwen3-8B-Q8_0")).find("qwen3-8b", {})

    assert set(caught.value.near) == {"Qwen3-8B-Q4_K_M", "Qwen3-8B-Q8_0"}


def test_a_usable_model_goes_before_a_broken_one() -> None:
    good = installed("Qwen3-8B-Q8_0")

    assert names(installed("Qwen3-8B-Q4_K_M", problem="It is incomplete."), good).find("Qwen3-8B", {}) is good


def test_the_exact_id_wins_over_another_case() -> None:
    lower, upper = installed("model"), installed("MODEL")

    assert names(lower, upper).find("model", {}) is lower
    assert names(lower, upper).find("MODEL", {}) is upper
    with pytest.raises(ModelNotFound):
        names(lower, upper).find("Model", {})


@pytest.mark.parametrize("typo", ["embr", "Qwen3-8B-Q4KM", "qwen3-8"])
def test_an_unknown_name_brings_similar_ones(typo: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(installed("ember"), installed("Qwen3-8B-Q4_K_M")).find(typo, {})

    assert len(caught.value.near) == 1
    assert caught.value.near[0] in str(caught.value)


def test_a_name_like_no_other_brings_no_hint() -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(installed("ember")).find("gpt-4o", {})

    assert caught.value.near == ()


LLAMA = installed("Llama-3.2-3B-Instruct-Q4_K_M")
SMALL_LLAMA = installed("Llama-3.2-1B-Instruct-Q8_0")


@pytest.mark.parametrize(
    "name",
    [
        *("llama3.2", "Llama3.2", "llama3.2:latest", "llama3.2:3b", "llama3.2:3b-instruct-q4_K_M"),
        *("meta-llama/Llama-3.2-3B-Instruct", "Llama-3.2-3B-Instruct:latest", "Llama-3.2-3B-Instruct-Q4_K_M:latest"),
        *("hf.co/org/repo", "hf.co/org/repo-GGUF:Q4_K_M", "https://huggingface.co/org/repo-GGUF", "hf://org/repo:q4_k_m"),
        *("org%2Frepo", "ORG%2frepo-GGUF:Q4_K_M"),
    ],
)
def test_a_model_answers_to_the_names_that_other_programs_have_for_it(name: str) -> None:
    assert names(LLAMA).find(name, {}) is LLAMA


def test_a_family_name_finds_the_only_size_that_is_there() -> None:
    assert names(SMALL_LLAMA, installed("ember")).find("llama3.2", {}) is SMALL_LLAMA


def test_of_several_sizes_a_family_name_finds_the_usual_one() -> None:
    large = installed("Llama-3.2-3B-Instruct-Q8_0")
    assert names(SMALL_LLAMA, LLAMA).find("llama3.2", {}) is LLAMA
    assert names(SMALL_LLAMA, LLAMA, large).find("llama3.2", {}) is LLAMA
    assert names(SMALL_LLAMA, LLAMA, large).find("llama3.2:3b-instruct-q8_0", {}) is large


def test_a_family_name_that_fits_several_and_none_of_them_better_names_them() -> None:
    other = installed("Llama-3.2-1B-Instruct-Q4_0")
    with pytest.raises(ModelNotFound, match="Several models") as caught:
        names(SMALL_LLAMA, other).find("llama3.2", {})
    assert set(caught.value.near) == {SMALL_LLAMA.id, other.id}


def test_a_size_is_never_answered_by_another_size() -> None:
    with pytest.raises(ModelNotFound, match=r"hearth pull llama3\.2:3b") as caught:
        names(SMALL_LLAMA).find("llama3.2:3b", {})
    assert caught.value.pull == "llama3.2:3b"
    with pytest.raises(ModelNotFound):
        names(LLAMA).find("llama3.2:3b-instruct-q8_0", {})


def test_a_known_name_that_is_not_installed_says_how_to_get_it() -> None:
    with pytest.raises(ModelNotFound, match=r"`hearth pull llama3\.2`.*Models page"):
        names(installed("ember")).find("llama3.2", {})
    with pytest.raises(ModelNotFound, match="hearth pull gpt-oss:20b"):
        names(installed("ember")).find("openai/gpt-oss-20b", {})


def test_an_alias_stands_for_a_model_by_any_of_its_names() -> None:
    found = names(LLAMA, installed("ember"))
    assert found.find("gpt-4o-mini", {"gpt-4o-mini": "ember"}).id == "ember"
    assert found.find("GPT-4o-mini:latest", {"gpt-4o-mini": "llama3.2"}) is LLAMA
    # The person's word counts for more than the catalogue's, but not for more than a model's own name.
    assert found.find("llama3.2", {"llama3.2": "ember"}).id == "ember"
    assert found.find("ember", {"ember": "llama3.2"}).id == "ember"


@pytest.mark.parametrize("name", ["gpt-4o", "GPT-4o:latest", " gpt-4o "])
@pytest.mark.parametrize("alias", ["gpt-4o", "GPT-4o", "gpt-4o:latest"])
def test_an_alias_is_the_same_in_another_case_and_with_a_default_tag(name: str, alias: str) -> None:
    assert names(installed("ember")).find(name, {alias: "ember"}).id == "ember"


def test_an_alias_of_nothing_that_is_installed_says_so() -> None:
    with pytest.raises(ModelNotFound, match="'phi4', which is to answer to 'gpt-4o', is not installed") as caught:
        names(installed("ember")).find("gpt-4o", {"gpt-4o": "phi4"})
    assert (caught.value.model, caught.value.asked, caught.value.pull) == ("phi4", "gpt-4o", "phi4")


def test_aliases_do_not_lead_in_circles() -> None:
    with pytest.raises(ModelNotFound):
        names(installed("ember")).find("a", {"a": "b", "b": "a"})


def test_a_near_alias_is_suggested() -> None:
    with pytest.raises(ModelNotFound) as caught:
        names(installed("ember")).find("gpt-4o-min", {"gpt-4o-mini": "ember"})
    assert caught.value.near == ("gpt-4o-mini",)


def test_the_other_names_of_a_model_are_those_it_answers_to() -> None:
    found, aliases = names(LLAMA, SMALL_LLAMA, installed("ember")), {"gpt-4o-mini": "ember", "chat": "llama3.2", "gone": "phi4"}
    assert found.aliases_of(LLAMA, aliases) == ("chat", "llama3.2", "llama3.2:3b")
    assert found.aliases_of(SMALL_LLAMA, aliases) == ("llama3.2:1b",)
    assert found.aliases_of(found.find("ember", {}), aliases) == ("gpt-4o-mini",)


def ollamas(name: str, *also: str) -> InstalledModel:
    return replace(installed(name, "Q4_K_M"), also=also, source=ModelSource.OLLAMA, path=Path("blobs/sha256-0"))


def known_as(*models: InstalledModel) -> ModelNames:
    """By what Ollama calls them, which is their place too."""
    return ModelNames(((model, model.id) for model in models), CATALOGUE)


@pytest.mark.parametrize(
    "name",
    ["llama3.2:3b", "Llama3.2:3B", "mario", "mario:latest", "someone/luigi:v2", "llama3.2", "meta-llama/Llama-3.2-3B-Instruct"],
)
def test_a_model_of_another_program_answers_to_all_its_names_there(name: str) -> None:
    model = ollamas("llama3.2:3b", "mario", "someone/luigi:v2")
    assert known_as(model, ollamas("gemma3:4b")).find(name, {}) == model


def test_a_useless_file_gives_way_to_what_was_got_in_its_place() -> None:
    useless = replace(ollamas("gpt-oss:20b", "gpt-oss"), problem="It is of no use.", instead="gpt-oss:20b")
    got = installed("gpt-oss-20b-mxfp4", "MXFP4")
    alone = ModelNames([(useless, useless.id)], CATALOGUE)
    assert alone.in_place_of(useless) == useless
    both = ModelNames([(useless, useless.id), (got, f"ggml-org/gpt-oss-20b-GGUF/{got.id}")], CATALOGUE)
    assert both.in_place_of(useless) == got
    assert both.in_place_of(got) == got
    # Who asks for the very file, to see what is wrong with it, gets that.
    assert both.find("gpt-oss:20b", {}) == useless


def test_names_in_other_programs_are_told_and_never_win_over_an_id() -> None:
    first, second = ollamas("llama3.2:3b", "mario", "gemma3:4b"), ollamas("gemma3:4b")
    index = known_as(first, second)
    assert index.find("gemma3:4b", {}) == second
    assert index.aliases_of(first, {"mine": "llama3.2:3b"}) == ("mine", "mario", "llama3.2")


def test_a_repository_that_is_known_otherwise_is_a_name_too() -> None:
    model = replace(ollamas("org/Repo-GGUF:Q4_K_M"), repository="org/Repo-GGUF")
    for name in ("hf.co/org/Repo-GGUF:Q4_K_M", "org/repo", "org/Repo-GGUF", "org/repo:q4_k_m"):
        assert known_as(model).find(name, {}) == model
