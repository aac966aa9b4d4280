"""LM Studio, Hugging Face's cache, llama.cpp, Jan and GPT4All."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from app.domain.models import Capability, ModelSource
from app.library.provenance import Provenance, record_provenance
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
        # As editors on Windows write it.
        (home / "settings.json").write_text(json.dumps({"downloadsFolder": str(models)}), "utf-8-sig")
    repository = models / "lmstudio-community" / "Tiny-GGUF"
    write_model(repository / "Tiny-Q8_0.gguf")
    write_projector(repository / "mmproj-Tiny-BF16.gguf")
    (repository / "Other-Q8_0.gguf.part").write_bytes(b"GGUF")
    found = listed(surroundings(tmp_path), tmp_path)
    (model,) = found.models
    assert (model.id, model.source, model.repository) == ("Tiny-Q8_0", ModelSource.LM_STUDIO, "lmstudio-community/Tiny-GGUF")
    assert model.can(Capability.VISION)
    assert found.places == ("lmstudio-community/Tiny-GGUF/Tiny-Q8_0",)


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"downloadsFolder": 3}', '{"downloadsFolder": "/nowhere"}'])
def test_lm_studio_with_settings_that_say_nothing(tmp_path: Path, content: str) -> None:
    home = tmp_path / "home" / ".lmstudio"
    write_model(home / "models" / "org" / "Tiny-GGUF" / "Tiny-Q8_0.gguf")
    (home / "settings.json").write_text(content)
    (tmp_path / "home" / ".lmstudio-home-pointer").write_text(str(tmp_path / "nowhere"))
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["Tiny-Q8_0"]


def test_lm_studio_comes_with_a_model_and_imports_others_by_links(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".lmstudio"
    write_model(home / ".internal" / "bundled-models" / "nomic-ai" / "Nomic-GGUF" / "nomic.Q8_0.gguf")
    target = write_model(tmp_path / "elsewhere" / "Linked-Q8_0.gguf", seed=1)
    imported = home / "models" / "imported" / "Linked" / "Linked-Q8_0.gguf"
    imported.parent.mkdir(parents=True)
    imported.symlink_to(target)
    (imported.parent / "Lost-Q8_0.gguf").symlink_to(tmp_path / "gone.gguf")
    (imported.parent / "downloading_Other-Q8_0.gguf").write_bytes(target.read_bytes()[:100])
    found = {one.id: one for one in listed(surroundings(tmp_path), tmp_path).models}
    assert found.keys() == {"nomic.Q8_0", "Linked-Q8_0"}
    assert found["nomic.Q8_0"].repository == "nomic-ai/Nomic-GGUF"


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("variable", ["", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_hugging_faces_cache(tmp_path: Path, variable: str, links: bool) -> None:
    root = tmp_path / "elsewhere" if variable else tmp_path / "home" / ".cache"
    cache = {"HF_HUB_CACHE": root, "HUGGINGFACE_HUB_CACHE": root, "HF_HOME": root / "hub"}.get(
        variable, root / "huggingface" / "hub"
    )
    hub_cache(cache, "org/Tiny-GGUF", "new", {"sub/Tiny-Q8_0.gguf": data(tmp_path), "README.md": b"# Tiny"}, links=links)
    hub_cache(cache, "org/no-models", "new", {"model.safetensors": b"x"}, links=links)
    (cache / "datasets--org--data").mkdir()
    (cache / "models--org--empty" / "snapshots").mkdir(parents=True)
    (cache / "models--org--arriving" / "blobs").mkdir(parents=True)
    (cache / "models--org--arriving" / "blobs" / f"{'0' * 64}.1a2b3c4d.incomplete").write_bytes(b"GGUF")
    here = surroundings(tmp_path, **({variable: str(root)} if variable else {}))
    found = listed(here, tmp_path)
    (model,) = found.models
    assert (model.id, model.source, model.repository) == ("Tiny-Q8_0", ModelSource.HUGGING_FACE, "org/Tiny-GGUF")
    # The link, which has a name, not the blob.
    assert model.path.name == "Tiny-Q8_0.gguf"
    assert found.places == ("org/Tiny-GGUF/sub/Tiny-Q8_0",)
    assert found.troubles == ()


def test_what_was_fetched_before_a_repository_changed_is_there_still(tmp_path: Path) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    outdated, current = data(tmp_path, seed=1), data(tmp_path, seed=2)
    projector = write_projector(tmp_path / "made" / "mmproj.gguf").read_bytes()
    hub_cache(cache, "org/Tiny-GGUF", "0", {"Tiny-Q4_0.gguf": data(tmp_path), "Tiny-Q8_0.gguf": outdated})
    snapshot = hub_cache(cache, "org/Tiny-GGUF", "1", {"Tiny-Q8_0.gguf": current, "mmproj-F16.gguf": projector})
    found = {one.id: one for one in listed(surroundings(tmp_path), tmp_path).models}
    assert found.keys() == {"Tiny-Q4_0", "Tiny-Q8_0"}
    assert found["Tiny-Q8_0"].path.read_bytes() == current
    # Its projector came with the later one.
    assert found["Tiny-Q4_0"].projector == snapshot / "mmproj-F16.gguf"


def test_blobs_that_are_shared_between_repositories(tmp_path: Path) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    snapshot = hub_cache(cache, "org/Tiny-GGUF", "new", {"Tiny-Q8_0.gguf": data(tmp_path)})
    blob = (snapshot / "Tiny-Q8_0.gguf").resolve()
    shared = cache / "blobs" / "1a" / "1a2b"
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    (model,) = listed(surroundings(tmp_path), tmp_path).models
    assert model.path == snapshot / "Tiny-Q8_0.gguf"


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


def test_llama_cpps_old_cache_says_what_came_from_where(tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".cache" / "llama.cpp"
    write_model(folder / "some_org_Tiny-GGUF_Tiny-Q8_0.gguf")
    write_projector(folder / "some_org_Tiny-GGUF_mmproj-F16.gguf")
    (folder / "manifest=some_org=Tiny-GGUF=latest.json").write_text("{}")
    (folder / "some_org_Tiny-GGUF_Tiny-Q4_0.gguf.downloadInProgress").write_bytes(b"GGUF")
    write_model(folder / "by-hand.gguf", seed=1)
    found = listed(surroundings(tmp_path), tmp_path)
    assert {(one.id, one.repository) for one in found.models} == {("Tiny-Q8_0", "some_org/Tiny-GGUF"), ("by-hand", "")}
    assert set(found.places) == {"some_org/Tiny-GGUF/Tiny-Q8_0", "by-hand"}


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
    found = listed(surroundings(tmp_path, platform=platform), tmp_path)
    models = {one.id: one for one in found.models}
    assert models.keys() == {"org/Tiny-Q8_0", "imported", "gone"}
    assert models["org/Tiny-Q8_0"].can(Capability.VISION)
    assert models["imported"].path == outside
    assert models["gone"].problem is not None
    assert {trouble.folder.parent.name for trouble in found.troubles} == {"broken", "list"}


@pytest.mark.parametrize("moved", ["variable", "settings", "bundle", "config", "flatpak"])
def test_jans_data_may_be_elsewhere(tmp_path: Path, moved: str) -> None:
    data_folder = tmp_path / "elsewhere"
    here = surroundings(tmp_path)
    share = tmp_path / "home" / ".local" / "share"
    settings = {"settings": share / "Jan", "bundle": share / "jan.ai.app", "config": tmp_path / "home" / ".config" / "Jan"}
    match moved:
        case "variable":
            here = surroundings(tmp_path, JAN_DATA_FOLDER=str(data_folder))
        case "flatpak":
            data_folder = tmp_path / "home" / ".var" / "app" / "ai.jan.Jan" / "data" / "Jan" / "data"
        case _:
            settings[moved].mkdir(parents=True)
            (settings[moved] / "settings.json").write_text(json.dumps({"data_folder": str(data_folder)}))
    place = data_folder / "llamacpp" / "models" / "Tiny"
    write_model(place / "model.gguf")
    (place / "model.yml").write_text("model_path: llamacpp/models/Tiny/model.gguf\n")
    assert [one.id for one in listed(here, tmp_path).models] == ["Tiny"]


def test_a_model_of_jan_in_several_files(tmp_path: Path) -> None:
    place = tmp_path / "home" / ".local" / "share" / "Jan" / "data" / "llamacpp" / "models" / "Big"
    for n in range(2):
        write_model(place / f"Big[x]-0000{n + 1}-of-00002.gguf", split=(n, 2, 2), seed=n)
    (place / "model.yml").write_text("model_path: llamacpp/models/Big/Big[x]-00001-of-00002.gguf\n")
    (model,) = listed(surroundings(tmp_path), tmp_path).models
    assert (model.id, len(model.files), model.problem) == ("Big", 2, None)


@pytest.mark.parametrize("flatpak", [False, True])
def test_gpt4all(tmp_path: Path, flatpak: bool) -> None:
    home = tmp_path / "home"
    share = home / ".var" / "app" / "io.gpt4all.gpt4all" / "data" if flatpak else home / ".local" / "share"
    folder = share / "nomic.ai" / "GPT4All"
    write_model(folder / "Tiny.Q8_0.gguf")
    (folder / "incomplete-Other.gguf").write_bytes((folder / "Tiny.Q8_0.gguf").read_bytes()[:500])
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["Tiny.Q8_0"]


@pytest.mark.parametrize("written", ["{}/", '"{}"', "{}"])
def test_gpt4all_with_a_folder_chosen_in_its_window(tmp_path: Path, written: str) -> None:
    chosen = tmp_path / "chosen, models"
    write_model(chosen / "Chosen.gguf", seed=2)
    config = tmp_path / "home" / ".config" / "nomic.ai" / "GPT4All.ini"
    config.parent.mkdir(parents=True)
    config.write_text(f"[General]\nchatTheme=Dark\nmodelPath={written.format(chosen)}\nserverChat=false\n\n[network]\nport\n")
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["Chosen"]


def test_gpt4alls_older_settings_escape_what_is_not_ascii(tmp_path: Path) -> None:
    write_model(tmp_path / "Modèles" / "Chosen.gguf")
    config = tmp_path / "home" / "AppData" / "Roaming" / "nomic.ai" / "GPT4All.ini"
    config.parent.mkdir(parents=True)
    config.write_text(f"[General]\r\nmodelPath={tmp_path}/Mod\\xe8les\r\n")
    assert [one.id for one in listed(surroundings(tmp_path, platform="win32"), tmp_path).models] == ["Chosen"]


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


def test_of_two_copies_the_one_that_can_be_used_is_listed(tmp_path: Path) -> None:
    # Hard links to the first part, of which one store has all and another that one alone.
    parts = [write_model(tmp_path / "made" / f"{n}.gguf", split=(n, 2, 2), seed=n) for n in range(2)]
    whole = tmp_path / "home" / ".cache" / "llama.cpp"
    partly = tmp_path / "home" / ".lmstudio" / "models" / "org" / "Big-GGUF"
    for folder, n_parts in ((partly, 1), (whole, 2)):
        folder.mkdir(parents=True)
        for n in range(n_parts):
            (folder / f"Big-Q8_0-0000{n + 1}-of-00002.gguf").hardlink_to(parts[n])
    (model,) = listed(surroundings(tmp_path), tmp_path).models
    assert (model.problem, model.source, model.path.parent) == (None, ModelSource.LLAMA_CPP, whole)


def test_a_copy_of_what_we_downloaded_is_ours(tmp_path: Path) -> None:
    content = data(tmp_path)
    ours = tmp_path / "models" / "org" / "Tiny-GGUF" / "Tiny-Q8_0.gguf"
    ours.parent.mkdir(parents=True)
    ours.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    record_provenance(ours, Provenance("org/Tiny-GGUF", "main", ours.name, len(content), sha256))
    Ollama(tmp_path / "home" / ".ollama" / "models").add("hf.co/org/Tiny-GGUF/Q8_0", model=tmp_path / "made" / "model.gguf")
    (model,) = listed(surroundings(tmp_path), tmp_path, folders=(tmp_path / "models",)).models
    assert (model.source, model.also) == (ModelSource.LIBRARY, ("org/Tiny-GGUF:Q8_0",))


def test_models_folders_that_are_gone_are_told(tmp_path: Path) -> None:
    write_model(tmp_path / "here" / "Tiny-Q8_0.gguf")
    found = listed(surroundings(tmp_path), tmp_path, folders=(tmp_path / "ours", tmp_path / "here", tmp_path / "unplugged"))
    assert [one.id for one in found.models] == ["Tiny-Q8_0"]
    assert [(trouble.source, trouble.folder) for trouble in found.troubles] == [(ModelSource.FOLDER, tmp_path / "unplugged")]
