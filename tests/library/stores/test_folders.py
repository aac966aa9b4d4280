"""LM Studio, Hugging Face's cache, llama.cpp, Jan and GPT4All."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.domain.models import Capability, ModelSource
from tests.library.gguf_maker import write_model, write_projector
from tests.library.stores.stores import Ollama, hub_cache, listed, surroundings


def data(tmp_path: Path, *, seed: int = 0) -> bytes:
    return write_model(tmp_path / "made" / "model.gguf", seed=seed).read_bytes()


@pytest.mark.parametrize("moved", ["", "pointer", "settings"])
def test_lm_studio(tmp_path: Path, moved: str) -> None:
    home = tmp_path / "home" / ".lmstudio"
    models = home / "models"
    if moved == "pointer":
        models = tmp_path / "elsewhere" / "models"
        (tmp_path / "home").mkdir()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "home" / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'elsewhere'}\n")
    if moved == "settings":
        models = tmp_path / "downloads"
        home.mkdir(parents=True)
        (home / "settings.json").write_text(json.dumps({"downloadsFolder": str(models)}))
    repository = models / "lmstudio-community" / "Tiny-GGUF"
    write_model(repository / "Tiny-Q8_0.gguf")
    write_projector(repository / "mmproj-Tiny-BF16.gguf")
    (repository / "Other-Q8_0.gguf.part").write_bytes(b"GGUF")
    found = listed(surroundings(tmp_path), tmp_path)
    (model,) = found.models
    assert (model.id, model.source, model.repository) == ("Tiny-Q8_0", ModelSource.LM_STUDIO, "lmstudio-community/Tiny-GGUF")
    assert model.can(Capability.VISION)
    assert found.places == ("lmstudio-community/Tiny-GGUF/Tiny-Q8_0",)


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("variable", ["", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_hugging_faces_cache(tmp_path: Path, variable: str, links: bool) -> None:
    root = tmp_path / "elsewhere" if variable else tmp_path / "home" / ".cache"
    cache = {"HF_HUB_CACHE": root, "HUGGINGFACE_HUB_CACHE": root, "HF_HOME": root / "hub"}.get(
        variable, root / "huggingface" / "hub"
    )
    hub_cache(cache, "org/Tiny-GGUF", "old", {"Tiny-Q4_0.gguf": data(tmp_path, seed=1)}, links=links)
    hub_cache(cache, "org/Tiny-GGUF", "new", {"sub/Tiny-Q8_0.gguf": data(tmp_path), "README.md": b"# Tiny"}, links=links)
    hub_cache(cache, "org/no-models", "new", {"model.safetensors": b"x"}, links=links)
    (cache / "datasets--org--data").mkdir()
    here = surroundings(tmp_path, **({variable: str(root)} if variable else {}))
    found = listed(here, tmp_path)
    (model,) = found.models
    assert (model.id, model.source, model.repository) == ("Tiny-Q8_0", ModelSource.HUGGING_FACE, "org/Tiny-GGUF")
    # The link, which has a name, not the blob.
    assert model.path.name == "Tiny-Q8_0.gguf"
    assert found.places == ("org/Tiny-GGUF/sub/Tiny-Q8_0",)


def test_shards_in_the_cache_are_one_model(tmp_path: Path) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    parts = {
        f"Big-Q8_0-0000{n + 1}-of-00002.gguf": write_model(
            tmp_path / "made" / f"{n}.gguf", split=(n, 2, 2), seed=n
        ).read_bytes()
        for n in range(2)
    }
    hub_cache(cache, "org/Big-GGUF", "new", parts)
    (model,) = listed(surroundings(tmp_path), tmp_path).models
    assert (model.id, len(model.files), model.problem) == ("Big-Q8_0", 2, None)


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".cache/llama.cpp"), ("darwin", "Library/Caches/llama.cpp"), ("win32", "AppData/Local/llama.cpp")],
)
def test_llama_cpps_old_cache(tmp_path: Path, platform: str, folder: str) -> None:
    write_model(tmp_path / "home" / folder / "org_Tiny-GGUF_Tiny-Q8_0.gguf")
    (tmp_path / "home" / folder / "org_Tiny-GGUF_Tiny-Q8_0.gguf.etag").write_text("x")
    (model,) = listed(surroundings(tmp_path, platform=platform), tmp_path).models
    assert (model.id, model.source) == ("org_Tiny-GGUF_Tiny-Q8_0", ModelSource.LLAMA_CPP)


def test_llama_cpps_folder_of_choice_may_have_both_layouts(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    write_model(folder / "org_Flat-GGUF_Flat-Q8_0.gguf", seed=1)
    hub_cache(folder, "org/Tiny-GGUF", "new", {"Tiny-Q8_0.gguf": data(tmp_path)})
    found = listed(surroundings(tmp_path, LLAMA_CACHE=str(folder)), tmp_path)
    assert {(one.id, one.repository) for one in found.models} == {
        ("org_Flat-GGUF_Flat-Q8_0", ""),
        ("Tiny-Q8_0", "org/Tiny-GGUF"),
    }


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".local/share"), ("darwin", "Library/Application Support"), ("win32", "AppData/Roaming")],
)
def test_jan_says_in_a_file_where_a_model_is(tmp_path: Path, platform: str, folder: str) -> None:
    jan = tmp_path / "home" / folder / "Jan" / "data"
    place = jan / "llamacpp" / "models" / "org" / "Tiny-Q8_0"
    write_model(place / "model.gguf")
    write_projector(place / "mmproj.gguf")
    (place / "model.yml").write_text(
        "model_path: llamacpp/models/org/Tiny-Q8_0/model.gguf\nmmproj_path: llamacpp/models/org/Tiny-Q8_0/mmproj.gguf\n"
        "name: 'Tiny: a model'\nsize_bytes: 8192\nembedding: false\n"
    )
    outside = write_model(tmp_path / "outside.gguf", seed=1)
    for name, text in (
        ("imported", f"model_path: '{outside.as_posix()}'\nname: imported\n"),
        ("gone", "model_path: llamacpp/models/gone/model.gguf\n"),
        ("broken", "model_path: [1, \n"),
        ("list", "- a\n- b\n"),
    ):
        (jan / "llamacpp" / "models" / name).mkdir()
        (jan / "llamacpp" / "models" / name / "model.yml").write_text(text)
    found = {one.id: one for one in listed(surroundings(tmp_path, platform=platform), tmp_path).models}
    assert found.keys() == {"org/Tiny-Q8_0", "imported"}
    assert found["org/Tiny-Q8_0"].can(Capability.VISION)
    assert found["imported"].path == outside


def test_gpt4all_and_the_folder_chosen_in_its_window(tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".local" / "share" / "nomic.ai" / "GPT4All"
    write_model(folder / "Tiny.Q8_0.gguf")
    write_model(folder / "incomplete-Other.gguf", seed=1).rename(folder / "incomplete-Other.gguf.tmp")
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["Tiny.Q8_0"]
    chosen = tmp_path / "chosen"
    write_model(chosen / "Chosen.gguf", seed=2)
    config = tmp_path / "home" / ".config" / "nomic.ai" / "GPT4All.ini"
    config.parent.mkdir(parents=True)
    config.write_text(f"[General]\nmodelPath={chosen}\nserverChat=false\n")
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["Chosen"]


def test_one_file_in_several_stores_is_listed_once_as_ours_if_it_is(tmp_path: Path) -> None:
    ours = write_model(tmp_path / "models" / "org" / "repo" / "Tiny-Q8_0.gguf")
    lm_studio = tmp_path / "home" / ".lmstudio" / "models" / "org" / "repo" / "Tiny-Q8_0.gguf"
    lm_studio.parent.mkdir(parents=True)
    lm_studio.hardlink_to(ours)
    linked = tmp_path / "home" / ".cache" / "llama.cpp" / "linked.gguf"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(ours)
    (model,) = listed(surroundings(tmp_path), tmp_path, folders=(tmp_path / "models",)).models
    assert (model.path, model.source) == (ours, ModelSource.LIBRARY)


def test_copies_that_two_stores_know_by_their_hash_are_one_model(tmp_path: Path) -> None:
    content = data(tmp_path)
    hub_cache(tmp_path / "home" / ".cache" / "huggingface" / "hub", "org/Tiny-GGUF", "new", {"Tiny-Q8_0.gguf": content})
    Ollama(tmp_path / "home" / ".ollama" / "models").add("hf.co/org/Tiny-GGUF/Q8_0", model=tmp_path / "made" / "model.gguf")
    (model,) = listed(surroundings(tmp_path), tmp_path).models
    assert model.source is ModelSource.OLLAMA
