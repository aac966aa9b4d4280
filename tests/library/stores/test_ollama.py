from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app.domain.generation import SamplingChoice
from app.domain.models import Capability, ModelDefaults, ModelSource
from tests.library.gguf_maker import write_adapter, write_model, write_projector
from tests.library.stores.stores import Ollama, listed, ollama_window, surroundings

LIBRARY = "registry.ollama.ai/library"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "made" / "model.gguf")


@pytest.fixture
def ollama(tmp_path: Path) -> Ollama:
    return Ollama(tmp_path / "home" / ".ollama" / "models")


def test_a_model_is_called_as_people_type_it_and_used_where_it_is(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    ollama.add(f"{LIBRARY}/llama3.2/latest", model=model, license="\n# LLAMA 3.2 COMMUNITY LICENSE\nmore")
    write_model(model, seed=1)
    ollama.add(f"{LIBRARY}/llama3.2/1b", model=model)
    write_model(model, seed=2)
    ollama.add("registry.ollama.ai/someone/tuned/v2", model=model)
    write_model(model, seed=3)
    ollama.add("hf.co/org/Repo-GGUF/Q8_0", model=model)
    found = {one.id: one for one in listed(surroundings(tmp_path), tmp_path).models}
    assert found.keys() == {"llama3.2", "llama3.2:1b", "someone/tuned:v2", "org/Repo-GGUF:Q8_0"}
    assert all(one.source is ModelSource.OLLAMA and one.problem is None for one in found.values())
    assert all(one.path.parent == ollama.folder / "blobs" for one in found.values())
    assert [one.repository for one in found.values() if one.repository] == ["org/Repo-GGUF"]
    assert found["llama3.2"].license == "LLAMA 3.2 COMMUNITY LICENSE"


def test_a_projector_among_the_layers_makes_it_see(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    # The first fits another model: of several, the one that fits is taken.
    other = write_projector(tmp_path / "made" / "other.gguf", width=128)
    projector = write_projector(tmp_path / "made" / "projector.gguf")
    ollama.add(f"{LIBRARY}/llava/7b", model=model, projectors=(other, projector))
    (found,) = listed(surroundings(tmp_path), tmp_path).models
    assert found.can(Capability.VISION)
    assert found.projector is not None
    assert found.projector.read_bytes() == projector.read_bytes()


def test_an_old_projector_that_llama_cpp_refuses_is_left_out(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    ollama.add(f"{LIBRARY}/llava/7b", model=model, projectors=(write_projector(tmp_path / "made" / "p.gguf", kind=""),))
    (found,) = listed(surroundings(tmp_path), tmp_path).models
    assert (found.projector, found.problem) == (None, None)


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_newer_versions_keep_their_manifests_elsewhere(ollama: Ollama, model: Path, tmp_path: Path, links: bool) -> None:
    ollama.add_newer("ollama.com/library/llama3.2/latest", ollama.manifest(model=model), links=links)
    write_model(model, seed=1)
    # What an older version left behind of the same name is outdated.
    ollama.add(f"{LIBRARY}/llama3.2/latest", model=model)
    ollama.add(f"{LIBRARY}/llama3.2/1b", model=model)
    found = listed(surroundings(tmp_path), tmp_path)
    assert {one.id for one in found.models} == {"llama3.2", "llama3.2:1b"}
    assert len({one.path for one in found.models}) == 2


def test_a_link_to_a_manifest_that_is_gone_leaves_the_older_one(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    newer = ollama.add_newer("ollama.com/library/llama3.2/latest", ollama.manifest(model=model))
    newer.resolve().unlink()
    assert listed(surroundings(tmp_path), tmp_path).models == ()
    ollama.add(f"{LIBRARY}/llama3.2/latest", model=model)
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["llama3.2"]


def test_of_a_list_of_manifests_the_one_for_llama_cpp_is_used(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    theirs = write_model(tmp_path / "made" / "theirs.gguf", architecture="gptoss")
    manifests = ollama.manifest_list(
        mlx=ollama.manifest(config={"model_format": "safetensors"}),
        ollama=ollama.manifest(model=theirs),
        llamacpp=ollama.manifest(model=model),
    )
    ollama.add_newer("ollama.com/library/gpt-oss/20b", manifests)
    (found,) = listed(surroundings(tmp_path), tmp_path).models
    assert (found.id, found.problem) == ("gpt-oss:20b", None)
    assert found.path.read_bytes() == model.read_bytes()


@pytest.mark.parametrize("kind", ["architecture", "encoder", "layout"])
def test_a_format_of_ollamas_own_is_listed_with_what_to_get_instead(ollama: Ollama, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "made" / "own.gguf"
    words = {"token_embd.weight": np.zeros((32, 64), np.float32)}
    match kind:
        case "architecture":
            write_model(file, architecture="gptoss")
        case "encoder":
            write_model(file, tensors={**words, "v.blk.0.attn_q.weight": np.zeros(64, np.float32)})
        case _:
            write_model(file, architecture="qwen3next", tensors={**words, "blk.0.ssm_dt": np.zeros(64, np.float32)})
    ollama.add(f"{LIBRARY}/gpt-oss/20b", model=file)
    (found,) = listed(surroundings(tmp_path), tmp_path, instead="gpt-oss:20b").models
    assert found.problem is not None
    assert "llama.cpp can't load" in found.problem
    assert "hearth pull gpt-oss:20b" in found.problem
    assert found.instead == "gpt-oss:20b"
    # The very same file from elsewhere is not called Ollama's.
    (alone,) = listed(surroundings(tmp_path / "nobody"), tmp_path, folders=(file.parent,)).models
    assert alone.problem is None
    # Nor is what Ollama fetched from the hub.
    shutil.rmtree(ollama.folder)
    ollama.add("hf.co/org/Repo-GGUF/Q8_0", model=file)
    (fetched,) = listed(surroundings(tmp_path), tmp_path).models
    assert fetched.problem is None


def test_another_format_is_listed_with_what_to_get_instead(ollama: Ollama, tmp_path: Path) -> None:
    ollama.add(f"{LIBRARY}/gemma3/4b-mlx", config={"model_format": "safetensors"})
    (found,) = listed(surroundings(tmp_path), tmp_path, instead="gemma3:4b").models
    assert (found.id, found.size_bytes) == ("gemma3:4b-mlx", 10 + len(b'{"stop": ["<|end|>"]}') + len(b"{{ .Prompt }}"))
    assert found.problem is not None
    assert "safetensors" in found.problem
    assert "hearth pull gemma3:4b" in found.problem


def test_names_for_what_runs_on_ollamas_own_computers_are_left_out(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    remote = {"model_format": "", "remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b"}
    ollama.add(f"{LIBRARY}/gpt-oss/120b-cloud", model=model, config=remote)
    assert listed(surroundings(tmp_path), tmp_path).models == ()


@pytest.mark.parametrize("loss", ["cut", "gone"])
def test_a_model_of_which_a_part_is_missing_says_how_to_get_it(ollama: Ollama, model: Path, tmp_path: Path, loss: str) -> None:
    blob = ollama.blob_of("model", ollama.add(f"{LIBRARY}/llama3.2/1b", model=model))
    if loss == "cut":
        blob.write_bytes(blob.read_bytes()[:-10])
    else:
        blob.unlink()
    (found,) = listed(surroundings(tmp_path), tmp_path).models
    assert found.problem is not None
    assert "ollama pull llama3.2:1b" in found.problem


def test_a_model_without_its_projector_is_of_use_still(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    manifest = ollama.add(f"{LIBRARY}/llava/7b", model=model, projectors=(write_projector(tmp_path / "made" / "p.gguf"),))
    ollama.blob_of("projector", manifest).unlink()
    (found,) = listed(surroundings(tmp_path), tmp_path).models
    assert (found.problem, found.projector) == (None, None)


def test_damaged_manifests_are_told_and_lead_nowhere_else(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    whole = ollama.manifest(model=model)
    layer = whole["layers"][0]
    broken = {
        "empty": "",
        "cut": json.dumps(whole)[:100],
        "list": "[]",
        "number": '{"config": 3}',
        "deep": "[" * 100_000,
        "long": "x" * (2 << 20),
        "elsewhere": json.dumps({**whole, "layers": [{**layer, "digest": "sha256:" + "../" * 20 + "etc/passwd"}]}),
        "unconfigured": json.dumps({**whole, "config": {"digest": f"sha256:{'0' * 64}"}}),
        "listed": json.dumps({"mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": []}),
    }
    folder = ollama.folder / "manifests" / LIBRARY / "broken"
    folder.mkdir(parents=True)
    for name, text in broken.items():
        (folder / name).write_text(text)
    (folder / ".DS_Store").write_bytes(b"\0")
    # What is still arriving has no manifest.
    (ollama.folder / "blobs" / f"sha256-{'0' * 64}-partial-0").write_bytes(b"GGUF")
    found = listed(surroundings(tmp_path), tmp_path)
    assert found.models == ()
    assert {trouble.folder.name for trouble in found.troubles} == set(broken)
    assert all("ollama pull broken:" in trouble.reason for trouble in found.troubles)


def test_two_names_of_one_blob_are_one_model_that_answers_to_both(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    ollama.add(f"{LIBRARY}/llama3.2/latest", model=model)
    ollama.add(f"{LIBRARY}/llama3.2/3b", model=model)
    # First by name, but made from the others.
    ollama.add(f"{LIBRARY}/assistant/latest", model=model, derived_from="llama3.2:3b")
    (found,) = listed(surroundings(tmp_path), tmp_path).models
    assert (found.id, found.also) == ("llama3.2:3b", ("llama3.2", "assistant"))


def test_a_model_that_is_meant_to_answer_otherwise_is_another(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    ollama.add(f"{LIBRARY}/llama3.2/latest", model=model, params={"temperature": 0.6, "top_k": 20, "num_ctx": 4096})
    told = {"model": model, "derived_from": "llama3.2", "system": "You are Mario.\n", "params": {"temperature": 1}}
    ollama.add(f"{LIBRARY}/mario/latest", **told)
    ollama.add(f"{LIBRARY}/itsame/latest", **told)
    found = {one.id: one for one in listed(surroundings(tmp_path), tmp_path).models}
    assert found.keys() == {"llama3.2", "itsame"}
    assert found["itsame"].also == ("mario",)
    assert found["llama3.2"].path == found["itsame"].path
    assert found["llama3.2"].defaults == ModelDefaults(sampling=SamplingChoice(temperature=0.6, top_k=20))
    assert found["itsame"].defaults == ModelDefaults("You are Mario.", SamplingChoice(temperature=1.0))


def test_a_model_with_an_adapter_is_another_than_without(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "made" / "adapter.gguf")
    ollama.add(f"{LIBRARY}/llama3.2/latest", model=model)
    tuned = ollama.add(f"{LIBRARY}/tuned/latest", model=model, derived_from="llama3.2", adapter=adapter)
    old = tmp_path / "made" / "old.bin"
    old.write_bytes(b"algg" + bytes(60))
    ollama.add(f"{LIBRARY}/old/latest", model=model, derived_from="llama3.2", adapter=old)
    found = {one.id: one for one in listed(surroundings(tmp_path), tmp_path).models}
    assert found.keys() == {"llama3.2", "tuned", "old"}
    assert found["llama3.2"].adapters == ()
    assert found["tuned"].adapters == (ollama.blob_of("adapter", tuned),)
    assert found["tuned"].problem is None
    assert found["old"].problem is not None


@pytest.mark.parametrize("moved", ["variable", "quoted", "window", "installer", "snap", "unit", "drop-in", "environment-file"])
def test_a_store_that_was_moved_is_found(model: Path, tmp_path: Path, moved: str) -> None:
    elsewhere = tmp_path / "else where"
    here = surroundings(tmp_path)
    root = tmp_path / "root"
    unit = root / "etc" / "systemd" / "system" / "ollama.service"
    unit.parent.mkdir(parents=True)
    match moved:
        case "variable":
            here = surroundings(tmp_path, OLLAMA_MODELS=str(elsewhere))
        case "quoted":
            here = surroundings(tmp_path, OLLAMA_MODELS=f' "{elsewhere}" ')
        case "window":
            ollama_window(tmp_path / "home" / ".ollama" / "db.sqlite", elsewhere)
        case "installer":
            elsewhere = root / "usr" / "share" / "ollama" / ".ollama" / "models"
        case "snap":
            elsewhere = root / "var" / "snap" / "ollama" / "common" / "models"
        case "unit":
            unit.write_text(f'[Service]\nEnvironment="PATH=/bin" \\\n  "OLLAMA_MODELS={elsewhere}"\nExecStart=ollama serve\n')
        case "drop-in":
            folder = unit.with_name("ollama.service.d")
            folder.mkdir()
            (folder / "override.conf").write_text(f'[Service]\nEnvironment="OLLAMA_MODELS={elsewhere}"\n')
        case _:
            unit.write_text("[Service]\nEnvironmentFile=-/etc/ollama.conf\n")
            (root / "etc" / "ollama.conf").write_text(f'# where\nOLLAMA_MODELS="{elsewhere}"\n')
    Ollama(elsewhere).add(f"{LIBRARY}/llama3.2/latest", model=model)
    assert [one.id for one in listed(here, tmp_path).models] == ["llama3.2"]


def test_what_stayed_behind_when_a_store_was_moved_is_there_too(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    ollama.add(f"{LIBRARY}/old/latest", model=model)
    write_model(model, seed=1)
    Ollama(tmp_path / "elsewhere").add(f"{LIBRARY}/new/latest", model=model)
    here = surroundings(tmp_path, OLLAMA_MODELS=str(tmp_path / "elsewhere"))
    assert {one.id for one in listed(here, tmp_path).models} == {"old", "new"}


def test_the_window_of_other_systems_keeps_its_choice_elsewhere(model: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    Ollama(elsewhere).add(f"{LIBRARY}/llama3.2/latest", model=model)
    ollama_window(tmp_path / "home" / "Library" / "Application Support" / "Ollama" / "db.sqlite", elsewhere)
    ollama_window(tmp_path / "local" / "Ollama" / "db.sqlite", elsewhere)
    for here in (
        surroundings(tmp_path, platform="darwin"),
        surroundings(tmp_path, platform="win32", LOCALAPPDATA=str(tmp_path / "local")),
    ):
        assert [one.id for one in listed(here, tmp_path).models] == ["llama3.2"]


def test_the_database_of_its_window_is_read_while_it_is_open_and_never_written(model: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    Ollama(elsewhere).add(f"{LIBRARY}/llama3.2/latest", model=model)
    file = tmp_path / "home" / ".ollama" / "db.sqlite"
    ollama_window(file, tmp_path / "before")
    before = {entry.name: entry.read_bytes() for entry in file.parent.iterdir()}
    assert listed(surroundings(tmp_path), tmp_path).models == ()
    assert {entry.name: entry.read_bytes() for entry in file.parent.iterdir()} == before
    with closing(sqlite3.connect(file)) as window:
        window.execute("UPDATE settings SET models = ?", (str(elsewhere),))
        window.commit()
        assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["llama3.2"]


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + bytes(100), b"no database"])
def test_a_damaged_database_of_its_window_is_no_choice(ollama: Ollama, model: Path, tmp_path: Path, content: bytes) -> None:
    ollama.add(f"{LIBRARY}/llama3.2/latest", model=model)
    (tmp_path / "home" / ".ollama" / "db.sqlite").write_bytes(content)
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["llama3.2"]
