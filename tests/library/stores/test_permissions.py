"""Folders that this account may not read. Root may read all: then it becomes nobody for a while."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.domain.models import ModelSource
from tests.library.gguf_maker import write_model
from tests.library.stores.stores import Ollama, hub_cache, listed, surroundings

_NOBODY = 65534

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no modes")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        yield path


@contextmanager
def unprivileged(*closed: Path) -> Iterator[None]:
    """With folders that may not be read."""
    modes = {path: path.stat().st_mode for path in closed}
    is_root = os.geteuid() == 0
    for path in closed:
        path.chmod(0o750 if is_root else 0)
    if is_root:
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
            os.setegid(0)
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize("closed", ["usr/share/ollama", "usr/share/ollama/.ollama/models/manifests"])
def test_a_store_that_may_not_be_entered_is_told(place: Path, closed: str) -> None:
    service = place / "root" / "usr" / "share" / "ollama" / ".ollama" / "models"
    Ollama(service).add("registry.ollama.ai/library/llama3.2/latest", model=write_model(place / "made.gguf"))
    with unprivileged(place / "root" / closed):
        found = listed(surroundings(place), place)
    assert found.models == ()
    assert {trouble.source for trouble in found.troubles} == {ModelSource.OLLAMA}
    # What is closed, not what was looked for in it.
    assert all(f"'{place / 'root' / closed}'" in trouble.reason or "usermod" in trouble.reason for trouble in found.troubles)


def test_blobs_that_may_not_be_read_are_told(place: Path) -> None:
    service = place / "root" / "usr" / "share" / "ollama" / ".ollama" / "models"
    Ollama(service).add("registry.ollama.ai/library/llama3.2/latest", model=write_model(place / "made.gguf"))
    with unprivileged(service / "blobs"):
        found = listed(surroundings(place), place)
    assert [trouble.source for trouble in found.troubles] == [ModelSource.OLLAMA]


def test_a_note_that_leads_into_a_closed_folder_is_told_and_the_rest_is_listed(place: Path) -> None:
    models = place / "home" / ".local" / "share" / "Jan" / "data" / "llamacpp" / "models"
    open_file, closed_file = write_model(place / "open.gguf"), write_model(place / "closed" / "closed.gguf", seed=1)
    for name, text in (
        ("open", f"model_path: '{open_file}'\nmmproj_path: '{closed_file}'\n"),
        ("closed", f"model_path: '{closed_file}'\n"),
    ):
        (models / name).mkdir(parents=True)
        (models / name / "model.yml").write_text(text)
    with unprivileged(place / "closed"):
        found = listed(surroundings(place), place)
    assert [one.id for one in found.models] == ["open"]
    assert [trouble.folder for trouble in found.troubles] == [closed_file]


def test_the_stores_beside_one_that_may_not_be_read_are_listed(place: Path) -> None:
    home = place / "home"
    write_model(home / ".lmstudio" / "models" / "org" / "Open-GGUF" / "Open-Q8_0.gguf")
    closed = [
        home / ".lmstudio" / "models" / "org" / "Closed-GGUF",
        home / ".cache" / "huggingface" / "hub",
        home / ".cache" / "llama.cpp",
        home / ".local" / "share" / "Jan",
        home / ".local" / "share" / "nomic.ai",
        home / ".ollama",
        place / "models",
    ]
    hub_cache(closed[1], "org/Tiny-GGUF", "new", {"Tiny.gguf": write_model(place / "made.gguf", seed=1).read_bytes()})
    for number, folder in enumerate(closed):
        write_model(folder / "Closed.gguf", seed=2 + number)
    with unprivileged(*closed):
        found = listed(surroundings(place), place, folders=(place / "models",))
    assert [one.id for one in found.models] == ["Open-Q8_0"]
    assert {trouble.source for trouble in found.troubles} == {
        ModelSource.LM_STUDIO,
        ModelSource.HUGGING_FACE,
        ModelSource.LLAMA_CPP,
        ModelSource.JAN,
        ModelSource.GPT4ALL,
        ModelSource.OLLAMA,
        ModelSource.LIBRARY,
    }
