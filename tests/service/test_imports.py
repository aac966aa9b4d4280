from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import pathname2url

import numpy as np
import pytest

from app.domain.errors import AppError, InvalidRequest, NotAModel, RepositoryNotFound
from app.domain.models import FileState, ModelSource
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.library import ModelLibrary
from app.library.provenance import Provenance, provenance_of, record_provenance
from app.paths import Paths
from app.service.imports import ImportDownload, ImportFiles, ImportPlan, ImportService, ImportWay, named_path
from app.settings import SettingsStore
from tests.fake_hub import FakeHub
from tests.library.gguf_maker import write_model, write_projector
from tests.library.stores.stores import Ollama

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def importing(
    endpoint: str = "http://127.0.0.1:9",
) -> AsyncGenerator[tuple[ImportService, ModelLibrary, DownloadManager], None]:
    paths = Paths.of()
    settings = SettingsStore(paths.settings_file)
    settings.update(hub_endpoint=endpoint)
    library = ModelLibrary(paths, settings)
    hub = Hub(HubAccess(lambda: settings.current))
    downloads = DownloadManager(hub, settings, lambda: library.folder)
    try:
        yield ImportService(library, hub, downloads, settings), library, downloads
    finally:
        await downloads.close()
        await hub.close()


def files(plan: ImportPlan) -> ImportFiles:
    assert isinstance(plan, ImportFiles)
    return plan


@pytest.mark.parametrize("form", ["plain", "quoted", "address"])
async def test_a_file_is_used_where_it_is_with_what_belongs_to_it(tmp_path: Path, form: str) -> None:
    file = write_model(tmp_path / "a folder" / "Tiny Model-Q8_0.gguf")
    write_projector(tmp_path / "a folder" / "mmproj-Tiny.gguf")
    text = {"plain": str(file), "quoted": f'"{file}"', "address": f"file://{pathname2url(str(file))}"}[form]
    async with importing() as (service, library, _):
        plan = files(await service.plan(text))
        assert (plan.is_folder, len(plan.models), plan.known) == (False, 1, ())
        (model,) = (await service.run(plan)).models
        assert (model.path, model.source) == (file, ModelSource.ADDED)
        assert model.projector is not None
        again = files(await service.plan(text))
        assert [one.id for one in again.known] == [model.id]
        assert library.resolve(model.id) == model


@pytest.mark.parametrize("way", [ImportWay.LINK, ImportWay.COPY])
async def test_a_file_comes_into_our_folder_with_what_belongs_to_it(tmp_path: Path, way: ImportWay) -> None:
    file = write_model(tmp_path / "from" / "Tiny-Q8_0.gguf")
    write_projector(tmp_path / "from" / "mmproj-Tiny.gguf")
    told: list[int] = []
    async with importing() as (service, library, _):
        plan = files(await service.plan(str(file)))
        (model,) = (await service.run(plan, way, on_bytes=told.append)).models
        assert model.source is ModelSource.LIBRARY
        assert model.path == library.folder / "imported" / "Tiny-Q8_0" / "Tiny-Q8_0.gguf"
        assert model.projector == model.path.with_name("mmproj-Tiny.gguf")
        assert model.path.samefile(file) is (way is ImportWay.LINK)
        await asyncio.sleep(0)
        assert told[-1:] == ([plan.size_bytes] if way is ImportWay.COPY else [])
        with pytest.raises(InvalidRequest, match="already"):
            await service.run(plan, way)


async def test_a_folder_is_read_from_now_on(tmp_path: Path) -> None:
    for number in range(2):
        write_model(tmp_path / "mine" / f"m{number}" / f"m{number}.gguf", seed=number)
    async with importing() as (service, library, _):
        plan = files(await service.plan(str(tmp_path / "mine")))
        assert plan.is_folder
        assert len(plan.models) == 2
        found = (await service.run(plan)).models
        assert {model.id for model in found} == {"m0", "m1"}
        assert all(model.source is ModelSource.FOLDER for model in found)
        write_model(tmp_path / "mine" / "m2.gguf", seed=2)
        await library.refresh()
        assert library.resolve("m2")


async def test_a_folder_is_copied_without_what_is_broken(tmp_path: Path) -> None:
    write_model(tmp_path / "mine" / "whole.gguf")
    cut = write_model(tmp_path / "mine" / "cut.gguf", seed=1)
    cut.write_bytes(cut.read_bytes()[:-100])
    async with importing() as (service, _, _):
        found = (await service.run(await service.plan(str(tmp_path / "mine")), ImportWay.COPY)).models
        assert [model.id for model in found] == ["whole"]
        with pytest.raises(NotAModel, match="incomplete"):
            await service.run(await service.plan(str(cut)), ImportWay.COPY)


async def test_a_name_or_an_address_becomes_a_download() -> None:
    with FakeHub() as hub:
        hub.add(
            "org/tiny-GGUF", {"tiny-Q8_0.gguf": b"x" * 5000, "tiny-Q4_K_M.gguf": b"y" * 3000, "mmproj-F16.gguf": b"z" * 2000}
        )
        async with importing(hub.endpoint) as (service, _, downloads):
            for text, label in (
                ("org/tiny-GGUF", "tiny-Q4_K_M.gguf"),
                ("org/tiny-GGUF:q8_0", "tiny-Q8_0.gguf"),
                (f"{hub.endpoint}/org/tiny-GGUF/blob/main/tiny-Q8_0.gguf", "tiny-Q8_0.gguf"),
            ):
                plan = await service.plan(text)
                assert isinstance(plan, ImportDownload)
                assert plan.file.label == label
                assert plan.projector is not None
            done = await service.run(plan)
            await downloads.wait(done.download_id)
            assert downloads.downloads[0].total_bytes == 7000


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InvalidRequest),
        ("/nowhere/model.gguf", InvalidRequest),
        ("model.gguf", InvalidRequest),
        ("file:///nowhere/model.gguf", InvalidRequest),
        ("a\0b", InvalidRequest),
        ("https://example.com/model.zip", InvalidRequest),
        ("org/nothing", RepositoryNotFound),
        ("lama3.2", InvalidRequest),
    ],
)
async def test_what_is_nowhere_is_told(text: str, error: type[AppError]) -> None:
    with FakeHub() as hub:
        async with importing(hub.endpoint) as (service, _, _):
            with pytest.raises(error):
                await service.plan(text)


async def test_a_file_or_folder_without_a_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.gguf").write_text("no model")
    async with importing() as (service, _, _):
        with pytest.raises(NotAModel, match="no model in it"):
            await service.plan(str(tmp_path / "empty"))
        with pytest.raises(NotAModel):
            await service.run(await service.plan(str(tmp_path / "text.gguf")))


async def test_a_file_elsewhere_on_the_web_is_downloaded(tmp_path: Path) -> None:
    data = write_model(tmp_path / "m.gguf").read_bytes() + bytes(2000)
    with FakeHub() as web:
        web.add("org/repo", {"m-Q8_0.gguf": data})
        async with importing() as (service, library, downloads):
            plan = await service.plan(f"http://localhost:{web.port}/org/repo/resolve/main/m-Q8_0.gguf")
            assert isinstance(plan, ImportDownload)
            await downloads.wait((await service.run(plan)).download_id)
            assert (library.folder / f"localhost_{web.port}" / "org/repo/resolve/main/m-Q8_0.gguf").read_bytes() == data


@pytest.mark.parametrize("way", [ImportWay.LINK, ImportWay.COPY])
async def test_a_folder_comes_with_its_folders(tmp_path: Path, way: ImportWay) -> None:
    for number, place in enumerate(("one", "two", "two/three", ".")):
        write_model(tmp_path / "mine" / place / "same.gguf", seed=number)
    async with importing() as (service, library, _):
        found = (await service.run(await service.plan(str(tmp_path / "mine")), way)).models
        top = library.folder / "imported" / "mine"
        assert {model.path.parent for model in found} == {top, top / "one", top / "two", top / "two" / "three"}
        # The folders that it lies in are no repository.
        assert {model.repository for model in found} == {""}
        (top / "one" / "same.gguf").rename(top / "one" / "renamed.gguf")
        await library.refresh()
        assert library.resolve("renamed").repository == ""


async def test_a_folder_is_brought_in_whole_or_not_at_all(tmp_path: Path) -> None:
    for number in range(3):
        write_model(tmp_path / "mine" / f"m{number}" / f"m{number}.gguf", seed=number)
    async with importing() as (service, library, _):
        plan = await service.plan(str(tmp_path / "mine"))
        taken = library.folder / "imported" / "mine" / "m2" / "m2.gguf"
        taken.parent.mkdir(parents=True)
        taken.write_bytes(b"another")
        for way in (ImportWay.LINK, ImportWay.COPY):
            with pytest.raises(InvalidRequest, match="already"):
                await service.run(plan, way)
        assert [file for file in library.folder.rglob("*") if file.is_file()] == [taken]


async def test_what_came_from_a_repository_comes_to_where_it_would_be_downloaded(tmp_path: Path) -> None:
    file = write_model(tmp_path / "from" / "Tiny-Q8_0.gguf")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    note = Provenance("org/Tiny-GGUF", "abc", "sub/Tiny-Q8_0.gguf", file.stat().st_size, sha256)
    record_provenance(file, note)
    async with importing() as (service, library, _):
        (model,) = (await service.run(await service.plan(str(file)), ImportWay.LINK)).models
        assert model.path == library.folder / "org" / "Tiny-GGUF" / "sub" / "Tiny-Q8_0.gguf"
        assert model.repository == "org/Tiny-GGUF"
        assert provenance_of(model.path) == note
        assert (await library.verify(model.id)).files[0].state is FileState.INTACT
        await library.remove(model.id)
        file.write_bytes(file.read_bytes()[:-1] + b"\1")
        with pytest.raises(NotAModel, match="damaged"):
            await service.run(await service.plan(str(file)), ImportWay.COPY)


@pytest.mark.parametrize("way", [ImportWay.LINK, ImportWay.COPY])
@pytest.mark.parametrize("by", ["file", "folder"])
async def test_a_model_of_another_program_gets_names_that_say_what_it_is(tmp_path: Path, way: ImportWay, by: str) -> None:
    ollama = Ollama(tmp_path / "home" / ".ollama" / "models")
    model = write_model(tmp_path / "made" / "m.gguf")
    manifest = ollama.add(
        "registry.ollama.ai/library/llava/7b", model=model, projectors=[write_projector(tmp_path / "made" / "p.gguf")]
    )
    blob = ollama.blob_of("model", manifest)
    async with importing() as (service, library, _):
        plan = files(await service.plan(str(blob if by == "file" else ollama.folder)))
        assert [one.id for one in plan.models] == [one.id for one in plan.known] == ["llava:7b"]
        (found,) = (await service.run(plan, way)).models
        assert found.path == library.folder / "imported" / "llava_7b" / "llava-7b.gguf"
        assert found.projector == found.path.with_name("mmproj-llava-7b.gguf")
        assert found.source is ModelSource.LIBRARY
        assert found.path.samefile(blob) is (way is ImportWay.LINK)
        assert all(check.state is FileState.INTACT for check in (await library.verify(found.id)).files)
        # It answers to its old name.
        assert library.resolve("llava:7b") == found


@pytest.mark.parametrize("way", list(ImportWay))
async def test_what_is_ours_already_stays_as_it_is(tmp_path: Path, way: ImportWay) -> None:
    async with importing() as (service, library, _):
        file = write_model(library.folder / "org" / "repo" / "Tiny-Q8_0.gguf")
        for path in (file, file.parent):
            (model,) = (await service.run(await service.plan(str(path)), way)).models
            assert (model.path, model.source) == (file, ModelSource.LIBRARY)
        assert [one.path for one in library.models[1:]] == [file]
        assert service._settings.current.models_folders == ()


async def test_a_copy_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    file = write_model(tmp_path / "big.gguf", tensors={"token_embd.weight": np.zeros((1_000_000, 16), np.float32)})
    async with importing() as (service, library, _):
        plan = await service.plan(str(file))
        begun = asyncio.Event()
        copying = asyncio.create_task(service.run(plan, ImportWay.COPY, on_bytes=lambda _: begun.set()))
        await begun.wait()
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying
        assert not library.folder.exists() or not list(library.folder.rglob("*.gguf"))


def test_what_is_a_path_and_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "model.gguf").write_bytes(b"")
    # A window has no folder that it is in: a name is a name there.
    assert named_path("org/name") is None
    assert named_path("org/name:Q4_K_M", here=tmp_path) is None
    assert named_path("https://example.com/a/model.gguf", here=tmp_path) is None
    assert named_path("llama3.2", here=tmp_path) is None
    assert named_path("x" * 5000) is None
    for text in ("org/name", "./org/name", "org/../org/name/", str(tmp_path / "org" / "name")):
        assert named_path(text, here=tmp_path) == tmp_path / "org" / "name"
    assert named_path("model.gguf", here=tmp_path) == tmp_path / "model.gguf"
    for text in (
        "./nothing",
        "~/nothing",
        "~nobody-at-all/x",
        "other.gguf",
        "a/b/c.gguf",
        "file:///nothing",
        "file://[x",
        "file:///%00",
        "x" * 300,
    ):
        with pytest.raises(InvalidRequest):
            named_path(text, here=tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
async def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    async with importing() as (service, _, _):
        with pytest.raises(NotAModel, match="neither a file nor a folder"):
            await service.plan(str(tmp_path / "pipe.gguf"))


async def test_a_folder_of_nothing_but_broken_models_is_told(tmp_path: Path) -> None:
    cut = write_model(tmp_path / "mine" / "cut.gguf")
    cut.write_bytes(cut.read_bytes()[:-100])
    async with importing() as (service, _, _):
        plan = await service.plan(str(tmp_path / "mine"))
        with pytest.raises(NotAModel, match="incomplete"):
            await service.run(plan, ImportWay.COPY)
        await service.run(plan, ImportWay.USE)
