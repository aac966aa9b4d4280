from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.domain.errors import InvalidRequest, ModelNotFound, SettingsError
from app.domain.generation import SamplerStep
from app.library.library import ModelLibrary
from app.library.stores import Surroundings
from app.paths import Paths
from app.service.model_profiles import EffectiveValue, ModelProfiles, ValueSource
from app.settings import ModelSettings, SamplingSettings, SettingsStore
from tests.library.gguf_maker import write_model
from tests.library.stores.stores import Ollama

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings() -> SettingsStore:
    return SettingsStore(Paths.of().settings_file)


@pytest.fixture
async def library(settings: SettingsStore) -> ModelLibrary:
    made = ModelLibrary(Paths.of(), settings)
    await made.refresh()
    return made


@pytest.fixture
def profiles(library: ModelLibrary, settings: SettingsStore) -> ModelProfiles:
    return ModelProfiles(library, settings)


async def value(profiles: ModelProfiles, name: str) -> EffectiveValue:
    return next(one for one in await profiles.effective("ember") if one.name == name)


async def test_every_setting_is_told_once(profiles: ModelProfiles) -> None:
    names = [one.name for one in await profiles.effective("ember")]
    assert len(set(names)) == len(names)
    assert set(names) == {
        *(name for name in ModelSettings.model_fields if name != "sampling"),
        *(f"sampling.{name}" for name in SamplingSettings.model_fields),
    }


async def test_a_value_says_where_it_comes_from(profiles: ModelProfiles, settings: SettingsStore) -> None:
    assert await value(profiles, "n_ctx") == EffectiveValue("n_ctx", 0, ValueSource.DEFAULT, 0)
    settings.update(n_ctx=4096)
    assert await value(profiles, "n_ctx") == EffectiveValue("n_ctx", 4096, ValueSource.GENERAL, 4096)
    profiles.update("ember", {"n_ctx": 1024})
    assert await value(profiles, "n_ctx") == EffectiveValue("n_ctx", 1024, ValueSource.MODEL, 4096)
    profiles.reset("ember", "n_ctx")
    assert await value(profiles, "n_ctx") == EffectiveValue("n_ctx", 4096, ValueSource.GENERAL, 4096)


async def test_what_the_file_recommends_is_told_and_gives_way(profiles: ModelProfiles) -> None:
    # Ember's file recommends its likeliest word.
    assert await value(profiles, "sampling.temperature") == EffectiveValue("sampling.temperature", 0.0, ValueSource.FILE, 0.0)
    assert (await value(profiles, "sampling.top_k")).source is ValueSource.DEFAULT
    profiles.update("EMBER", {"sampling.temperature": 0.7, "note": "mine", "pinned": True})
    assert await value(profiles, "sampling.temperature") == EffectiveValue("sampling.temperature", 0.7, ValueSource.MODEL, 0.0)
    assert (await value(profiles, "note")).value == "mine"
    profiles.update("ember", {"sampling.temperature": None, "note": None, "pinned": None})
    assert (await value(profiles, "sampling.temperature")).source is ValueSource.FILE
    assert await value(profiles, "note") == EffectiveValue("note", "", ValueSource.DEFAULT, "")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"n_context": 5}, InvalidRequest, "n_ctx"),
        ({"sampling": {}}, InvalidRequest, "sampling.temperature"),
        ({"sampling.heat": 5}, InvalidRequest, "sampling.heat"),
        ({"note": "kept?", "sampling.top_p": 1.5}, SettingsError, "top_p"),
        ({"gpu_layers": "many"}, SettingsError, "gpu_layers"),
    ],
)
async def test_what_can_not_be_changes_nothing(
    profiles: ModelProfiles, settings: SettingsStore, changes: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        profiles.update("ember", changes)
    with pytest.raises(ModelNotFound):
        profiles.update("nobody", {"n_ctx": 1024})
    assert settings.current.models == {}


async def test_an_export_holds_what_was_set_and_is_taken_over_whole(profiles: ModelProfiles, settings: SettingsStore) -> None:
    settings.update(aliases={"gpt-4o": "ember", "other": "elsewhere"})
    profiles.update("ember", {"n_ctx": 1024, "sampling.top_k": 5, "draft_model": Path("/d.gguf"), "system_prompt": "Be brief."})
    exported = profiles.export("ember")
    assert exported["settings"] == {
        "n_ctx": 1024,
        "sampling": {"top_k": 5},
        "draft_model": "/d.gguf",
        "system_prompt": "Be brief.",
    }
    assert exported["aliases"] == ["gpt-4o"]
    before = settings.current.models["ember"]
    settings.update(models={}, aliases={})
    # Names that mean something else here are left to that.
    exported["aliases"] += ["Ember", "other"]
    settings.update(aliases={"OTHER": "elsewhere"})
    profiles.update("ember", {"n_parallel": 3})
    profiles.take("ember", exported)
    assert settings.current.models["ember"] == before
    assert settings.current.aliases == {"OTHER": "elsewhere", "gpt-4o": "ember"}


async def test_what_another_program_set_meanwhile_stays(profiles: ModelProfiles, settings: SettingsStore) -> None:
    profiles.update("ember", {"n_ctx": 1024})
    SettingsStore(Paths.of().settings_file).update(
        models={"other": ModelSettings(n_ctx=1), "ember": ModelSettings(n_parallel=2)}
    )
    profiles.update("ember", {"n_batch": 64})
    assert settings.current.models == {"other": ModelSettings(n_ctx=1), "ember": ModelSettings(n_parallel=2, n_batch=64)}


async def test_an_order_of_samplers_is_set_by_any_of_their_names(profiles: ModelProfiles, settings: SettingsStore) -> None:
    profiles.update("ember", {"sampling.samplers": "dry;k;top-p;temp", "sampling.dry_sequence_breakers": ["."]})
    told = (await value(profiles, "sampling.samplers")).value
    assert told == (SamplerStep.DRY, SamplerStep.TOP_K, SamplerStep.TOP_P, SamplerStep.TEMPERATURE)
    exported = profiles.export("ember")["settings"]["sampling"]
    assert exported == {"samplers": ["dry", "top_k", "top_p", "temperature"], "dry_sequence_breakers": ["."]}
    assert SettingsStore(Paths.of().settings_file).current == settings.current
    for wrong in ("top_k;dry", ["top_k", "top_k"], "heat", 3):
        with pytest.raises(SettingsError, match="samplers"):
            profiles.update("ember", {"sampling.samplers": wrong})


@pytest.mark.parametrize(
    "change",
    [{"format": "x"}, {"version": 2}, {"settings": []}, {"aliases": 3}, {"settings": {"n_ctx": "long"}}],
)
async def test_what_is_no_export_is_refused(
    profiles: ModelProfiles, settings: SettingsStore, change: dict[str, object]
) -> None:
    with pytest.raises((InvalidRequest, SettingsError)):
        profiles.take("ember", {**profiles.export("ember"), **change})
    assert settings.current.models == {}


@pytest.mark.parametrize(("version", "said"), [(2, "Update Hearth"), (0, "no version 0"), (None, "no version None")])
async def test_versions_that_are_not_known_are_told_apart(profiles: ModelProfiles, version: int | None, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        profiles.take("ember", {**profiles.export("ember"), "version": version})


async def test_the_longest_context_is_that_of_the_file_stretched_as_is_set(profiles: ModelProfiles) -> None:
    trained = profiles.longest_context("ember")
    assert trained > 0
    profiles.update("ember", {"rope_type": "yarn", "rope_factor": 4.0})
    assert profiles.longest_context("ember") == 4 * trained


async def test_an_export_goes_through_a_file(profiles: ModelProfiles, tmp_path: Path) -> None:
    profiles.update("ember", {"n_ctx": 1024, "system_prompt": "Ümlaute."})
    file = tmp_path / "ember.json"
    await profiles.write_export("ember", file)
    profiles.update("ember", {"n_ctx": None, "system_prompt": None})
    await profiles.take_file("ember", file)
    assert (await value(profiles, "n_ctx")).value == 1024
    assert (await value(profiles, "system_prompt")).value == "Ümlaute."
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".new")]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"format": "another"}', b"[" * 100_000])
async def test_a_file_of_something_else_changes_nothing(profiles: ModelProfiles, tmp_path: Path, content: bytes) -> None:
    profiles.update("ember", {"n_ctx": 1024})
    file = tmp_path / "notes.json"
    file.write_bytes(content)
    with pytest.raises(InvalidRequest):
        await profiles.take_file("ember", file)
    assert (await value(profiles, "n_ctx")).value == 1024


async def test_files_that_can_t_be_read_or_written_are_told(profiles: ModelProfiles, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="can't be read"):
        await profiles.take_file("ember", tmp_path / "gone.json")
    with pytest.raises(SettingsError, match="can't be written"):
        await profiles.write_export("ember", tmp_path / "no folder" / "ember.json")


async def test_what_a_model_of_another_program_comes_with_is_told(settings: SettingsStore, tmp_path: Path) -> None:
    ollama = Ollama(tmp_path / "elsewhere" / ".ollama" / "models")
    made = write_model(tmp_path / "made.gguf")
    ollama.add("registry.ollama.ai/library/mario/latest", model=made, system="You are Mario.", params={"temperature": 0.6})
    library = ModelLibrary(
        Paths.of(), settings, surroundings=Surroundings(tmp_path / "elsewhere", {}, "linux", tmp_path / "root")
    )
    await library.refresh()
    told = {one.name: one for one in await ModelProfiles(library, settings).effective("mario")}
    prompt, temperature = "You are Mario.", 0.6
    assert told["system_prompt"] == EffectiveValue("system_prompt", prompt, ValueSource.FILE, prompt)
    assert told["sampling.temperature"] == EffectiveValue("sampling.temperature", temperature, ValueSource.FILE, temperature)


async def test_a_name_is_given_to_one_model_and_never_taken_from_another(
    profiles: ModelProfiles, library: ModelLibrary, settings: SettingsStore
) -> None:
    profiles.add_alias("ember", "fast")
    assert settings.current.aliases == {"fast": "ember"}
    profiles.add_alias("ember", "FAST")
    assert settings.current.aliases == {"fast": "ember"}
    write_model(Paths.of().models / "another.gguf")
    await library.refresh()
    settings.update(aliases={"fast": "ANOTHER.gguf"})
    with pytest.raises(InvalidRequest, match="another name of another"):
        profiles.add_alias("ember", "Fast")
    profiles.add_alias("another", "fast")
    with pytest.raises(InvalidRequest, match="installed model"):
        profiles.add_alias("ember", "Ember:latest")
    profiles.remove_alias("fast")
    assert settings.current.aliases == {}


async def test_a_name_of_a_model_that_is_gone_is_free(profiles: ModelProfiles, settings: SettingsStore) -> None:
    settings.update(aliases={"fast": "gone"})
    profiles.add_alias("ember", "fast")
    assert settings.current.aliases == {"fast": "ember"}
