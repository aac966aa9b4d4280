from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.library.library import ModelLibrary
from app.paths import Paths
from app.service.moved_models import MovedModels
from app.settings import ModelSettings, Settings, SettingsStore
from tests.library.gguf_maker import write_model

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def program() -> AsyncGenerator[tuple[SettingsStore, ModelLibrary, MovedModels], None]:
    paths = Paths.of()
    settings = SettingsStore(paths.settings_file)
    library = ModelLibrary(paths, settings)
    moved = MovedModels(library, settings, paths.model_files)
    await library.refresh()
    await moved.follow()
    try:
        yield settings, library, moved
    finally:
        await moved.close()
        await library.close()


async def refreshed(library: ModelLibrary, moved: MovedModels) -> None:
    await library.refresh()
    await moved.follow()


def contexts(settings: Settings) -> dict[str, int | None]:
    return {name: one.n_ctx for name, one in settings.models.items()}


def rename(file: Path, name: str) -> Path:
    return file.rename(file.with_name(name))


def delete(file: Path) -> None:
    file.unlink()


def begin_copy(file: Path, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(file.read_bytes()[:-9])


def write_notes(content: str) -> None:
    Paths.of().model_files.write_text(content)


@pytest.fixture
def models() -> Path:
    return Paths.of().models


@pytest.fixture
def file(models: Path) -> Path:
    return write_model(models / "org" / "repo" / "Tiny-Q8_0.gguf")


@pytest.mark.parametrize("running", [True, False])
async def test_everything_that_names_a_renamed_model_follows_it(file: Path, running: bool) -> None:
    async with program() as (settings, library, moved):
        settings.update(
            models={"Tiny-Q8_0": ModelSettings(n_ctx=512), "another": ModelSettings(n_ctx=9)},
            aliases={"gpt-4o": "Tiny-Q8_0", "short": "llama3.2"},
            last_model="Tiny-Q8_0",
            fallback_model="Tiny-Q8_0",
        )
        await moved.follow()
        if running:
            rename(file, "Small-Q8_0.gguf")
            await refreshed(library, moved)
    if not running:
        rename(file, "Small-Q8_0.gguf")
    async with program() as (settings, library, _):
        assert contexts(settings.current) == {"Small-Q8_0": 512, "another": 9}
        assert settings.current.aliases == {"gpt-4o": "Small-Q8_0", "short": "llama3.2"}
        assert (settings.current.last_model, settings.current.fallback_model) == ("Small-Q8_0", "Small-Q8_0")
        assert library.resolve("gpt-4o").id == "Small-Q8_0"


async def test_a_model_is_known_again_on_another_disk(file: Path, tmp_path: Path) -> None:
    async with program() as (settings, library, moved):
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=512)})
        await moved.follow()
        there = tmp_path / "there" / "Renamed.gguf"
        # While it is being copied, and as long as both are there, nothing changes.
        begin_copy(file, there)
        settings.update(models_folders=(there.parent,))
        await refreshed(library, moved)
        shutil.copyfile(file, there)
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Tiny-Q8_0": 512}
        delete(file)
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Renamed": 512}


async def test_what_is_gone_keeps_its_settings_and_another_of_the_same_size_gets_none(file: Path) -> None:
    async with program() as (settings, library, moved):
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=512)})
        await moved.follow()
        delete(file)
        write_model(file.with_name("Other-Q8_0.gguf"), seed=1)
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Tiny-Q8_0": 512}
        write_model(file)
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Tiny-Q8_0": 512}


async def test_which_of_two_copies_was_the_model_is_not_guessed(file: Path) -> None:
    async with program() as (settings, library, moved):
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=512)})
        await moved.follow()
        for name in ("A-Q8_0.gguf", "B-Q8_0.gguf"):
            shutil.copyfile(file, file.with_name(name))
        delete(file)
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Tiny-Q8_0": 512}


async def test_a_model_in_the_same_place_with_other_contents_is_the_same_model(file: Path) -> None:
    async with program() as (settings, library, moved):
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=512)})
        await moved.follow()
        shutil.copyfile(file, file.with_name("Old-Q8_0.gguf"))
        write_model(file, seed=1)
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Tiny-Q8_0": 512}
        rename(file, "New-Q8_0.gguf")
        await refreshed(library, moved)
        assert contexts(settings.current) == {"New-Q8_0": 512}


async def test_settings_keep_to_their_models_when_ids_pass_from_one_to_another(file: Path, models: Path) -> None:
    second = write_model(models / "org" / "later" / "Tiny-Q8_0.gguf", seed=1)
    async with program() as (settings, library, moved):
        first, other = library.resolve("Tiny-Q8_0"), next(one for one in library.models if "/" in one.id)
        if first.path != file:
            file, second = second, file
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=1), other.id: ModelSettings(n_ctx=2)})
        await moved.follow()
        removal = await library.remove("Tiny-Q8_0")
        await moved.follow()
        assert library.resolve("Tiny-Q8_0").path == second
        assert settings.current.models["Tiny-Q8_0"].n_ctx == 2
        await library.restore(removal.id)
        await moved.follow()
        assert contexts(settings.current) == {
            next(one.id for one in library.models if one.path == file): 1,
            next(one.id for one in library.models if one.path == second): 2,
        }


async def test_what_was_set_for_a_name_in_advance_is_not_written_over(file: Path) -> None:
    async with program() as (settings, library, moved):
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=1), "Small": ModelSettings(n_ctx=2)})
        await moved.follow()
        rename(file, "Small.gguf")
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Tiny-Q8_0": 1, "Small": 2}


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1, "models": {"Tiny-Q8_0": {"path": 3}}}', '{"format": 2}'])
async def test_notes_that_can_not_be_read_are_begun_anew(file: Path, content: str) -> None:
    async with program() as (settings, _, moved):
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=1)})
        await moved.follow()
    write_notes(content)
    async with program() as (settings, library, moved):
        assert contexts(settings.current) == {"Tiny-Q8_0": 1}
        rename(file, "Small-Q8_0.gguf")
        await refreshed(library, moved)
        assert contexts(settings.current) == {"Small-Q8_0": 1}


async def test_programs_that_do_not_agree_stop_moving_settings(file: Path) -> None:
    async with program() as (settings, library, moved):
        settings.update(models={"Tiny-Q8_0": ModelSettings(n_ctx=1)})
        await moved.follow()
        name = "Tiny-Q8_0"
        for _ in range(30):
            # Another program has it under its other name.
            new = "Small-Q8_0" if name == "Tiny-Q8_0" else "Tiny-Q8_0"
            file = rename(file, f"{new}.gguf")
            await refreshed(library, moved)
            name = new
        before = settings.current
        rename(file, "Tiny-Q8_0.gguf")
        await refreshed(library, moved)
        assert settings.current == before
