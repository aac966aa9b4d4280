"""The list of models, through everything that changes it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from app.domain.errors import ModelNotFound, NotAModel, NotRemovable, NotRestorable
from app.domain.models import Capability, InstalledModel, ModelSource
from app.library.headers import HeaderCache
from app.library.library import ModelLibrary
from app.library.listing import Listing, Places, list_models
from app.library.look import Seen
from app.library.provenance import Provenance, provenance_of, record_provenance
from app.library.stores import Surroundings
from app.paths import Paths
from app.settings import SettingsStore
from tests.library.gguf_maker import write_model, write_projector
from tests.library.stores.stores import Ollama

pytestmark = pytest.mark.anyio


@pytest.fixture
def paths() -> Paths:
    return Paths.of()


@pytest.fixture
def settings(paths: Paths) -> SettingsStore:
    return SettingsStore(paths.settings_file)


@pytest.fixture
def library(paths: Paths, settings: SettingsStore) -> ModelLibrary:
    return ModelLibrary(paths, settings)


def ids(library: ModelLibrary) -> list[str]:
    return [model.id for model in library.models]


def count_scans(monkeypatch: pytest.MonkeyPatch) -> list[Places]:
    """Has one entry more after each reading of the folders."""
    scans: list[Places] = []

    def counted(places: Places, headers: HeaderCache) -> Listing:
        scans.append(places)
        return list_models(places, headers)

    monkeypatch.setattr("app.library.library.list_models", counted)
    return scans


async def test_ember_is_there_and_sees_before_anything_is_installed(library: ModelLibrary) -> None:
    assert library.models == ()

    (ember,) = await library.refresh()

    assert ember.id == "ember"
    assert ember.source is ModelSource.BUILT_IN
    assert ember.problem is None
    assert ember.can(Capability.CHAT)
    assert ember.can(Capability.VISION)
    assert library.resolve("EMBER") is ember


async def test_models_appear_and_vanish_with_their_files_and_listeners_hear_of_it(library: ModelLibrary, paths: Paths) -> None:
    heard: list[tuple[InstalledModel, ...]] = []
    library.changed.subscribe(heard.append)
    await library.refresh()
    path = write_model(paths.models / "org" / "repo" / "Zebra-Q8_0.gguf", name="Zebra")
    await library.refresh()
    await library.refresh()
    path.unlink()
    await library.refresh()

    assert [[model.id for model in models] for models in heard] == [["ember"], ["ember", "Zebra-Q8_0"], ["ember"]]


async def test_the_built_in_model_comes_first_then_names_in_order(library: ModelLibrary, paths: Paths) -> None:
    for name in ("beta", "Alpha", "zulu"):
        write_model(paths.models / f"{name}.gguf", name=f"{name} model")

    await library.refresh()

    assert ids(library) == ["ember", "Alpha", "beta", "zulu"]


async def test_folders_of_the_settings_are_listed_too_each_file_once(
    library: ModelLibrary, settings: SettingsStore, tmp_path: Path
) -> None:
    write_model(tmp_path / "more" / "sub" / "m.gguf")
    settings.update(models_folders=(tmp_path / "more", tmp_path / "more" / "sub", tmp_path / "none"))

    await library.refresh()

    assert ids(library) == ["ember", "m"]


async def test_hidden_folders_parts_and_other_files_are_left_out(library: ModelLibrary, paths: Paths) -> None:
    write_model(paths.models / ".cache" / "hidden.gguf")
    write_model(paths.models / ".hidden.gguf")
    write_model(paths.models / "coming.gguf").rename(paths.models / "coming.gguf.part")
    (paths.models / "readme.txt").write_text("hello")

    await library.refresh()

    assert ids(library) == ["ember"]


async def test_a_folder_linked_into_itself_is_read_once(library: ModelLibrary, paths: Paths) -> None:
    write_model(paths.models / "m.gguf")
    (paths.models / "loop").symlink_to(paths.models, target_is_directory=True)

    await library.refresh()

    assert ids(library) == ["ember", "m"]


async def test_a_broken_file_is_listed_with_its_problem(library: ModelLibrary, paths: Paths) -> None:
    paths.models.mkdir(parents=True)
    (paths.models / "page.gguf").write_bytes(b"<html>404</html>")

    await library.refresh()

    broken = library.resolve("page")
    assert broken.problem is not None
    assert "web page" in broken.problem
    assert broken.capabilities == frozenset()


async def test_of_two_files_with_one_stem_the_older_keeps_the_short_id(library: ModelLibrary, paths: Paths) -> None:
    first = write_model(paths.models / "z-org" / "repo" / "m.gguf")
    await library.refresh()
    second = write_model(paths.models / "a-org" / "repo" / "M.gguf")
    os.utime(second, (first.stat().st_mtime + 10,) * 2)
    await library.refresh()

    assert library.resolve("m").path == first
    assert library.resolve("a-org/repo/M").path == second


async def test_an_added_file_is_used_in_place_and_stays_after_a_restart(
    library: ModelLibrary, paths: Paths, settings: SettingsStore, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "elsewhere" / "mine.gguf")
    write_model(tmp_path / "elsewhere" / "other.gguf")

    model = await library.add(path)

    assert model.source is ModelSource.ADDED
    assert model.path == path
    assert settings.current.added_files == (path,)
    again = ModelLibrary(paths, SettingsStore(paths.settings_file))
    await again.refresh()
    assert ids(again) == ["ember", "mine"]


async def test_an_added_file_takes_a_projector_from_another_folder(
    library: ModelLibrary, settings: SettingsStore, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "a" / "mine.gguf")
    projector = write_projector(tmp_path / "b" / "eyes.gguf")

    model = await library.add(path, projector)

    assert model.projector == projector
    assert model.can(Capability.VISION)
    await library.remove("mine")
    assert settings.current.added_files == ()
    assert projector.exists()


async def test_of_several_projectors_beside_a_model_the_named_one_is_taken(library: ModelLibrary, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    write_projector(tmp_path / "mmproj-F16.gguf")
    named = write_projector(tmp_path / "mmproj-Q8_0.gguf")

    assert (await library.add(path)).projector == tmp_path / "mmproj-F16.gguf"
    assert (await library.add(path, named)).projector == named


async def test_a_projector_of_another_model_is_refused_and_nothing_is_added(
    library: ModelLibrary, settings: SettingsStore, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "mine.gguf")
    projector = write_projector(tmp_path / "b" / "eyes.gguf", width=128)

    with pytest.raises(NotAModel) as caught:
        await library.add(path, projector)

    assert caught.value.path == projector
    assert settings.current.added_files == ()
    assert ids(library) == ["ember"]


async def test_what_is_no_model_is_not_added(library: ModelLibrary, settings: SettingsStore, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    cut = write_model(tmp_path / "cut.gguf")
    cut.write_bytes(cut.read_bytes()[:-2000])
    projector = write_projector(tmp_path / "eyes.gguf")

    for path, says in [
        (tmp_path / "none.gguf", "no such file"),
        (tmp_path / "text.gguf", "not a GGUF"),
        (cut, "incomplete"),
        (projector, "projector"),
    ]:
        with pytest.raises(NotAModel, match=says):
            await library.add(path)
        with pytest.raises(NotAModel, match=says):
            await library.open_path(path)

    assert settings.current.added_files == ()
    await library.refresh()
    assert ids(library) == ["ember"]


async def test_a_file_of_a_models_folder_is_not_added_a_second_time(
    library: ModelLibrary, paths: Paths, settings: SettingsStore
) -> None:
    path = write_model(paths.models / "m.gguf")
    await library.refresh()

    model = await library.add(path)

    assert model.source is ModelSource.LIBRARY
    assert settings.current.added_files == ()


async def test_an_added_file_that_is_gone_stays_listed_with_its_problem(library: ModelLibrary, tmp_path: Path) -> None:
    path = write_model(tmp_path / "mine.gguf")
    await library.add(path)
    path.unlink()

    await library.refresh()

    assert library.resolve("mine").problem == "The file is gone. Put it back, or remove it from the list."
    await library.remove("mine")
    assert ids(library) == ["ember"]


async def test_a_file_given_by_path_is_called_by_its_stem_for_this_run_only(
    library: ModelLibrary, paths: Paths, settings: SettingsStore, tmp_path: Path, ember_path: Path
) -> None:
    path = Path(shutil.copy(ember_path, tmp_path / "ember.gguf"))

    model = await library.open_path(path)

    assert model.id == "ember"
    assert model.source is ModelSource.PATH
    assert library.resolve("ember").path == path
    assert library.resolve("ember/ember").source is ModelSource.BUILT_IN
    assert settings.current.added_files == ()
    again = ModelLibrary(paths, settings)
    await again.refresh()
    assert ids(again) == ["ember"]


async def test_any_part_of_a_split_model_opens_it_whole(library: ModelLibrary, tmp_path: Path) -> None:
    for number in range(2):
        write_model(tmp_path / f"big-0000{number + 1}-of-00002.gguf", split=(number, 2, 0))

    model = await library.open_path(tmp_path / "big-00002-of-00002.gguf")

    assert model.id == "big"
    assert model.path == tmp_path / "big-00001-of-00002.gguf"
    assert len(model.files) == 2


async def test_removing_deletes_our_files_and_the_folders_this_empties(library: ModelLibrary, paths: Paths) -> None:
    folder = paths.models / "org" / "repo"
    size_bytes = sum(path.stat().st_size for path in (write_model(folder / "m.gguf"), write_projector(folder / "mmproj.gguf")))
    await library.refresh()

    assert await library.freed_by("m") == size_bytes
    assert (await library.remove("m")).freed_bytes == size_bytes

    assert ids(library) == ["ember"]
    assert [entry.name for entry in paths.models.iterdir()] == [".hearth-trash"]
    await library.close()
    assert list(paths.models.iterdir()) == []


async def test_removing_keeps_a_projector_another_model_uses(library: ModelLibrary, paths: Paths) -> None:
    folder = paths.models / "org" / "repo"
    write_model(folder / "m-Q4_0.gguf")
    write_model(folder / "m-Q8_0.gguf")
    projector = write_projector(folder / "mmproj.gguf")
    await library.refresh()

    await library.remove("m-Q4_0")

    assert projector.exists()
    assert library.resolve("m-Q8_0").projector == projector


async def test_what_is_not_ours_is_not_deleted(
    library: ModelLibrary, paths: Paths, settings: SettingsStore, tmp_path: Path
) -> None:
    theirs = write_model(tmp_path / "theirs" / "their.gguf")
    linked = write_model(tmp_path / "linked" / "far.gguf")
    paths.models.mkdir(parents=True)
    (paths.models / "link").symlink_to(linked.parent, target_is_directory=True)
    settings.update(models_folders=(theirs.parent,))
    await library.refresh()

    for model_id in ("ember", "their", "far"):
        with pytest.raises(NotRemovable):
            await library.remove(model_id)
    with pytest.raises(ModelNotFound):
        await library.remove("none")

    assert theirs.exists()
    assert linked.exists()


async def test_removing_a_linked_file_leaves_its_target(library: ModelLibrary, paths: Paths, tmp_path: Path) -> None:
    target = write_model(tmp_path / "target.gguf")
    paths.models.mkdir(parents=True)
    (paths.models / "m.gguf").symlink_to(target)
    await library.refresh()

    await library.remove("m")

    assert target.exists()
    assert ids(library) == ["ember"]


async def test_removing_a_file_given_by_path_only_forgets_it(library: ModelLibrary, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    await library.open_path(path)

    removal = await library.remove("m")

    assert removal.freed_bytes == 0
    assert path.exists()
    assert ids(library) == ["ember"]
    assert (await library.restore(removal.id)).source is ModelSource.PATH


async def test_what_was_removed_comes_back_where_it_was_with_what_was_noted_of_it(library: ModelLibrary, paths: Paths) -> None:
    folder = paths.models / "org" / "repo"
    model = write_model(folder / "m.gguf")
    write_projector(folder / "mmproj.gguf")
    note = Provenance("org/repo", "abc", "m.gguf", model.stat().st_size, "0" * 64)
    record_provenance(model, note)
    await library.refresh()
    before = library.resolve("m")

    removal = await library.remove("m")
    assert removal.model == before
    assert not folder.exists()
    assert await library.restore(removal.id) == before

    assert provenance_of(model) == note
    assert [entry.name for entry in paths.models.iterdir()] == ["org"]
    with pytest.raises(NotRestorable):
        await library.restore(removal.id)


async def test_an_added_file_that_was_removed_comes_back_to_its_place_in_the_list(
    library: ModelLibrary, settings: SettingsStore, tmp_path: Path
) -> None:
    files = [write_model(tmp_path / f"{name}.gguf") for name in "abc"]
    for file in files:
        await library.add(file)
    removal = await library.remove("b")
    extra = write_model(tmp_path / "d.gguf")
    await library.add(extra)

    assert (await library.restore(removal.id)).path == files[1]

    assert settings.current.added_files == (*files, extra)


async def test_what_another_file_took_the_place_of_is_not_put_back_over_it(library: ModelLibrary, paths: Paths) -> None:
    path = write_model(paths.models / "m.gguf", name="Before")
    await library.refresh()
    removal = await library.remove("m")
    write_model(path, name="Afterwards")

    with pytest.raises(NotRestorable, match="is there again"):
        await library.restore(removal.id)
    assert library.removals == (removal,)

    path.unlink()
    assert (await library.restore(removal.id)).name == "Before"
    assert library.removals == ()


async def test_the_models_folder_can_be_another(library: ModelLibrary, settings: SettingsStore, tmp_path: Path) -> None:
    settings.update(models_folder=tmp_path / "big-disk", models_folders=(tmp_path / "more",))
    write_model(library.folder / "org" / "repo" / "mine.gguf")
    write_model(tmp_path / "more" / "theirs.gguf")

    await library.refresh()

    assert library.folder == tmp_path / "big-disk"
    assert library.resolve("mine").source is ModelSource.LIBRARY
    assert library.resolve("theirs").source is ModelSource.FOLDER
    with pytest.raises(NotRemovable, match="only reads"):
        await library.freed_by("theirs")


async def test_a_scan_that_is_cancelled_ends_before_another_begins(
    paths: Paths, settings: SettingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = 0
    most = 0
    scan, begun, gate = list_models, threading.Event(), threading.Event()

    def slow_scan(places: Places, headers: HeaderCache) -> Listing:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        begun.set()
        gate.wait(5)
        under_way -= 1
        return scan(places, headers)

    monkeypatch.setattr("app.library.library.list_models", slow_scan)
    library = ModelLibrary(paths, settings)
    first = asyncio.ensure_future(library.refresh())
    await asyncio.to_thread(begun.wait, 5)
    second = asyncio.ensure_future(library.refresh())
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait({first, second})

    assert first.cancelled()
    assert most == 1


async def test_those_who_ask_before_a_scan_begins_share_it(
    paths: Paths, settings: SettingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = count_scans(monkeypatch)
    library = ModelLibrary(paths, settings)

    await asyncio.gather(*(library.refresh() for _ in range(10)))
    assert len(scans) == 1

    await asyncio.gather(*(library.find(f"nobody's {number}") for number in range(10)), return_exceptions=True)
    assert len(scans) == 2


async def test_the_folders_are_not_read_again_at_once_for_a_name_that_no_model_has(
    paths: Paths, settings: SettingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = count_scans(monkeypatch)
    now = 100.0
    library = ModelLibrary(paths, settings, clock=lambda: now)
    await library.refresh()
    with pytest.raises(ModelNotFound):
        await library.find("Zebra-Q8_0")
    settings.update(fallback_model="ember")
    for _ in range(5):
        assert (await library.find_any("Zebra-Q8_0")).id == "ember"
    assert len(scans) == 2

    write_model(paths.models / "Zebra-Q8_0.gguf", name="Zebra")
    now += 1

    assert (await library.find_any("Zebra-Q8_0")).id == "Zebra-Q8_0"
    assert len(scans) == 3


async def test_a_model_that_is_listed_since_is_found_at_once(library: ModelLibrary, paths: Paths) -> None:
    with pytest.raises(ModelNotFound):
        await library.find("Zebra-Q8_0")
    path = write_model(paths.models / "Zebra-Q8_0.gguf", name="Zebra")
    await library.refresh()

    assert (await library.find("Zebra-Q8_0")).path == path

    path.unlink()
    with pytest.raises(ModelNotFound):
        await library.find("Zebra-Q8_0")


async def test_an_alias_that_another_program_sets_holds_with_the_next_name(
    library: ModelLibrary, settings: SettingsStore
) -> None:
    await library.refresh()
    with pytest.raises(ModelNotFound):
        await library.find("gpt-4o-mini")

    SettingsStore(Paths.of().settings_file).update(aliases={"gpt-4o-mini": "ember"})

    assert (await library.find("gpt-4o-mini")).id == "ember"
    assert library.aliases_of(library.resolve("ember")) == ("gpt-4o-mini",)


async def test_any_name_is_answered_by_the_fallback_model_alone_where_one_is_set(
    library: ModelLibrary, settings: SettingsStore
) -> None:
    await library.refresh()
    with pytest.raises(ModelNotFound, match="'gpt-4o' is not installed"):
        await library.find_any("gpt-4o")

    settings.update(fallback_model="ember")

    assert (await library.find_any("gpt-4o")).id == "ember"
    assert library.resolve_any("gpt-4o").id == "ember"
    with pytest.raises(ModelNotFound):
        await library.find("gpt-4o")


async def test_a_fallback_model_that_is_not_installed_is_named(library: ModelLibrary, settings: SettingsStore) -> None:
    settings.update(fallback_model="llama3.2")

    with pytest.raises(ModelNotFound, match=r"'llama3.2', which is to answer to 'gpt-4o', is not .*hearth pull llama3.2"):
        await library.find_any("gpt-4o")


async def test_a_name_that_fits_several_models_is_not_left_to_the_fallback_model(
    library: ModelLibrary, settings: SettingsStore, paths: Paths
) -> None:
    for quantization in ("Q4_K_M", "Q8_0"):
        write_model(paths.models / "org" / "repo" / f"Zebra-{quantization}.gguf", name=quantization)
    settings.update(fallback_model="ember")

    with pytest.raises(ModelNotFound, match="Several"):
        await library.find_any("zebra")


async def test_models_of_other_programs_are_listed_unless_switched_off_and_never_removed(
    paths: Paths, settings: SettingsStore, tmp_path: Path
) -> None:
    here = Surroundings(tmp_path / "elsewhere", {}, "linux", shared=tmp_path / "root")
    theirs = write_model(tmp_path / "elsewhere" / ".lmstudio" / "models" / "org" / "repo" / "theirs.gguf")
    library = ModelLibrary(paths, settings, surroundings=here)
    assert [model.id for model in await library.refresh()] == ["ember", "theirs"]
    assert library.resolve("org/repo").path == theirs
    with pytest.raises(NotRemovable, match="lm-studio"):
        await library.remove("theirs")
    assert theirs.exists()
    settings.update(other_stores=False)
    assert [model.id for model in await library.refresh()] == ["ember"]


async def test_what_only_ollama_can_load_says_what_to_get_instead(
    paths: Paths, settings: SettingsStore, tmp_path: Path
) -> None:
    ollama = Ollama(tmp_path / "elsewhere" / ".ollama" / "models")
    own = write_model(tmp_path / "own.gguf", architecture="gptoss")
    for tag in ("20b", "latest", "7b"):
        ollama.add(f"registry.ollama.ai/library/gpt-oss/{tag}", model=own)
        write_model(own, architecture="gptoss", seed=ord(tag[0]))
    ollama.add("registry.ollama.ai/library/pirate/latest", model=own, derived_from="gpt-oss:20b")
    library = ModelLibrary(paths, settings, surroundings=Surroundings(tmp_path / "elsewhere", {}, "linux", tmp_path / "root"))
    problems = {model.id: model.problem for model in await library.refresh() if model.problem}
    assert "`hearth pull gpt-oss:20b`" in str(problems["gpt-oss:20b"])
    assert "`hearth pull gpt-oss`" in str(problems["gpt-oss"])
    assert "`hearth pull gpt-oss:20b`" in str(problems["pirate"])
    # Nobody knows this one, and another size is not the same.
    assert "hearth pull" not in str(problems["gpt-oss:7b"])


async def test_what_was_got_in_place_of_a_useless_file_serves_requests_for_it(
    paths: Paths, settings: SettingsStore, tmp_path: Path
) -> None:
    ollama = Ollama(tmp_path / "elsewhere" / ".ollama" / "models")
    ollama.add("registry.ollama.ai/library/gpt-oss/20b", model=write_model(tmp_path / "own.gguf", architecture="gptoss"))
    library = ModelLibrary(paths, settings, surroundings=Surroundings(tmp_path / "elsewhere", {}, "linux", tmp_path / "root"))
    await library.refresh()
    assert (await library.find_any("gpt-oss:20b")).problem
    got = write_model(paths.models / "ggml-org" / "gpt-oss-20b-GGUF" / "gpt-oss-20b-mxfp4.gguf")
    assert (await library.find_any("gpt-oss:20b")).path == got
    # What is done to the other by its name is not done to this one.
    with pytest.raises(NotRemovable):
        await library.remove("gpt-oss:20b")


async def test_what_ollama_pulls_and_removes_shows_up_by_itself(paths: Paths, settings: SettingsStore, tmp_path: Path) -> None:
    here = Surroundings(tmp_path / "elsewhere", {}, "linux", tmp_path / "root")
    ollama = Ollama(tmp_path / "elsewhere" / ".ollama" / "models")
    made = write_model(tmp_path / "made.gguf")
    ollama.add("registry.ollama.ai/library/first/latest", model=made)
    library = ModelLibrary(paths, settings, surroundings=here)
    heard: asyncio.Queue[set[str]] = asyncio.Queue()
    library.changed.subscribe(lambda models: heard.put_nowait({model.id for model in models}))
    await library.refresh()
    assert await heard.get() == {"ember", "first"}
    library.watch(every_s=0.01)
    try:
        write_model(made, seed=1)
        second = ollama.add_newer("ollama.com/library/second/latest", ollama.manifest(model=made))
        assert await heard.get() == {"ember", "first", "second"}
        second.unlink()
        assert await heard.get() == {"ember", "first"}
    finally:
        await library.close()


async def test_files_and_settings_that_change_show_up_by_themselves(
    library: ModelLibrary, paths: Paths, settings: SettingsStore, tmp_path: Path
) -> None:
    heard: asyncio.Queue[list[str]] = asyncio.Queue()
    library.changed.subscribe(lambda models: heard.put_nowait([model.id for model in models]))
    await library.refresh()
    assert await heard.get() == ["ember"]
    library.watch(every_s=0.01)
    try:
        path = write_model(tmp_path / "zebra.gguf", name="Zebra")
        paths.models.mkdir(parents=True)
        path.rename(paths.models / "zebra.gguf")
        assert await asyncio.wait_for(heard.get(), 50) == ["ember", "zebra"]

        (paths.models / "zebra.gguf").unlink()
        assert await asyncio.wait_for(heard.get(), 50) == ["ember"]

        write_model(tmp_path / "more" / "lion.gguf", name="Lion")
        SettingsStore(paths.settings_file).update(models_folders=(tmp_path / "more",))
        assert await asyncio.wait_for(heard.get(), 50) == ["ember", "lion"]
    finally:
        await library.close()


async def test_a_folder_where_nothing_happens_is_not_read_again(
    library: ModelLibrary, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(paths.models / "m.gguf")
    for path in (paths.models / "m.gguf", paths.models):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    scans = count_scans(monkeypatch)
    await library.refresh()
    looks = 0
    looked = asyncio.Event()
    has_changed = Seen.has_changed

    def counted(seen: Seen) -> bool:
        nonlocal looks
        looks += 1
        if looks == 5:
            loop.call_soon_threadsafe(looked.set)
        return has_changed(seen)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(Seen, "has_changed", counted)
    library.watch(every_s=0.02)
    await asyncio.wait_for(looked.wait(), 50)
    await library.close()

    assert len(scans) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="its file systems take only text as names")
async def test_a_file_whose_name_is_no_text_is_refused_in_words_that_can_be_shown(
    library: ModelLibrary, tmp_path: Path
) -> None:
    odd = write_model(tmp_path / os.fsdecode(b"bad\xff.gguf"))
    for refused in (library.open_path(odd), library.add(odd)):
        with pytest.raises(NotAModel, match="Rename it") as caught:
            await refused
        assert str(caught.value).encode()
