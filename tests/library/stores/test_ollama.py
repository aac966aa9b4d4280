from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from app.domain.models import Capability, ModelSource
from tests.library.gguf_maker import write_model, write_projector
from tests.library.stores.stores import Ollama, listed, ollama_window, surroundings


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "made" / "model.gguf")


@pytest.fixture
def ollama(tmp_path: Path) -> Ollama:
    return Ollama(tmp_path / "home" / ".ollama" / "models")


def test_a_model_is_called_as_people_type_it_and_used_where_it_is(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    ollama.add("registry.ollama.ai/library/llama3.2/latest", model=model, license="\nLLAMA 3.2 COMMUNITY LICENSE\nmore")
    write_model(model, seed=1)
    ollama.add("registry.ollama.ai/library/llama3.2/1b", model=model)
    write_model(model, seed=2)
    ollama.add("registry.ollama.ai/someone/tuned/v2", model=model)
    write_model(model, seed=3)
    ollama.add("hf.co/org/Repo-GGUF/Q8_0", model=model)
    found = listed(surroundings(tmp_path), tmp_path)
    assert {one.id for one in found.models} == {"llama3.2", "llama3.2:1b", "someone/tuned:v2", "org/Repo-GGUF:Q8_0"}
    assert all(one.source is ModelSource.OLLAMA and one.problem is None for one in found.models)
    assert all(one.path.parent == ollama.folder / "blobs" for one in found.models)
    assert [one.repository for one in found.models if one.repository] == ["org/Repo-GGUF"]


def test_a_projector_among_the_layers_makes_it_see(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    projector = write_projector(tmp_path / "made" / "projector.gguf")
    ollama.add("registry.ollama.ai/library/llava/7b", model=model, projector=projector)
    (found,) = listed(surroundings(tmp_path), tmp_path).models
    assert found.can(Capability.VISION)
    assert found.projector is not None
    assert found.projector.read_bytes() == projector.read_bytes()


@pytest.mark.parametrize("kind", ["architecture", "encoder"])
def test_a_format_of_ollamas_own_is_listed_with_what_to_get_instead(ollama: Ollama, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "made" / "own.gguf"
    if kind == "architecture":
        write_model(file, architecture="gptoss")
    else:
        write_model(
            file,
            tensors={"token_embd.weight": np.zeros((32, 64), np.float32), "v.blk.0.attn_q.weight": np.zeros(64, np.float32)},
        )
    ollama.add("registry.ollama.ai/library/gpt-oss/20b", model=file)
    (found,) = listed(surroundings(tmp_path), tmp_path, instead="gpt-oss:20b").models
    assert found.problem is not None
    assert "llama.cpp can't load" in found.problem
    assert "hearth pull gpt-oss:20b" in found.problem
    # The very same file from elsewhere is not called Ollama's.
    (alone,) = listed(surroundings(tmp_path / "nobody"), tmp_path, folders=(file.parent,)).models
    assert alone.problem is None


def test_what_is_no_whole_model_of_this_computer_is_left_out(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    host = "registry.ollama.ai/library"
    ollama.add(f"{host}/cloud/latest", model=model, config={"model_format": "gguf", "remote_host": "https://ollama.com"})
    ollama.add(f"{host}/mlx/latest", model=model, config={"model_format": "safetensors"})
    cut = ollama.add(f"{host}/cut/latest", model=write_model(tmp_path / "made" / "cut.gguf", seed=5))
    digest = json.loads(cut.read_text())["layers"][0]["digest"]
    blob = ollama.folder / "blobs" / digest.replace(":", "-")
    blob.write_bytes(blob.read_bytes()[:-10])
    gone = ollama.add(f"{host}/gone/latest", model=write_model(tmp_path / "made" / "gone.gguf", seed=6))
    (ollama.folder / "blobs" / json.loads(gone.read_text())["layers"][0]["digest"].replace(":", "-")).unlink()
    for number, text in enumerate(
        ("", "{", "[]", '{"config": 3}', '{"config": {"digest": "sha256:../../x"}, "layers": []}', "x" * (2 << 20))
    ):
        (ollama.folder / "manifests" / host / "cut" / f"broken{number}").write_text(text)
    evil = json.loads(cut.read_text())
    evil["layers"][0] = {**evil["layers"][0], "digest": "sha256:" + "../" * 20 + "etc/passwd"}
    (ollama.folder / "manifests" / host / "cut" / "evil").write_text(json.dumps(evil))
    (ollama.folder / "blobs" / f"sha256-{'0' * 64}-partial-0").write_bytes(b"GGUF")
    assert listed(surroundings(tmp_path), tmp_path).models == ()


def test_two_names_of_one_blob_are_one_model(ollama: Ollama, model: Path, tmp_path: Path) -> None:
    ollama.add("registry.ollama.ai/library/llama3.2/latest", model=model)
    ollama.add("registry.ollama.ai/library/llama3.2/3b", model=model)
    assert [one.id for one in listed(surroundings(tmp_path), tmp_path).models] == ["llama3.2:3b"]


@pytest.mark.parametrize("moved", ["variable", "window", "service"])
def test_a_store_that_was_moved_is_found(model: Path, tmp_path: Path, moved: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    here = surroundings(tmp_path)
    match moved:
        case "variable":
            here = surroundings(tmp_path, OLLAMA_MODELS=str(elsewhere))
        case "window":
            ollama_window(tmp_path / "home" / ".ollama" / "db.sqlite", elsewhere)
        case _:
            elsewhere = tmp_path / "root" / "usr" / "share" / "ollama" / ".ollama" / "models"
    Ollama(elsewhere).add("registry.ollama.ai/library/llama3.2/latest", model=model)
    assert [one.id for one in listed(here, tmp_path).models] == ["llama3.2"]


def test_the_window_of_other_systems_keeps_its_choice_elsewhere(model: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    Ollama(elsewhere).add("registry.ollama.ai/library/llama3.2/latest", model=model)
    ollama_window(tmp_path / "home" / "Library" / "Application Support" / "Ollama" / "db.sqlite", elsewhere)
    ollama_window(tmp_path / "local" / "Ollama" / "db.sqlite", elsewhere)
    for here in (
        surroundings(tmp_path, platform="darwin"),
        surroundings(tmp_path, platform="win32", LOCALAPPDATA=str(tmp_path / "local")),
    ):
        assert [one.id for one in listed(here, tmp_path).models] == ["llama3.2"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
def test_a_store_that_may_not_be_read_is_told(tmp_path: Path, model: Path) -> None:
    service = tmp_path / "root" / "usr" / "share" / "ollama" / ".ollama" / "models"
    Ollama(service).add("registry.ollama.ai/library/llama3.2/latest", model=model)
    (service / "manifests").chmod(0)
    try:
        found = listed(surroundings(tmp_path), tmp_path)
    finally:
        (service / "manifests").chmod(0o755)
    assert [trouble.source for trouble in found.troubles] == [ModelSource.OLLAMA]
    assert "Allow your user" in found.troubles[0].reason
