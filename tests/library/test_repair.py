"""What a model lacks, and how it gets it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import InvalidRequest, RepositoryNotFound
from app.domain.models import InstalledModel, MissingPart, PartKind
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.library import ModelLibrary
from app.library.provenance import Provenance, record_provenance
from app.paths import Paths
from app.settings import SettingsStore
from tests.fake_hub import FakeHub
from tests.library.gguf_maker import write_model, write_projector
from tests.library.test_assemble import write_shards

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings() -> SettingsStore:
    return SettingsStore(Paths.of().settings_file)


@pytest.fixture
def library(settings: SettingsStore) -> ModelLibrary:
    return ModelLibrary(Paths.of(), settings)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeHub]:
    """A repository with a model, its three parts, and two projectors."""
    source = tmp_path / "source"
    write_model(source / "m-Q8_0.gguf")
    write_projector(source / "mmproj-F16.gguf")
    write_projector(source / "mmproj-BF16.gguf")
    write_shards(source)
    with FakeHub() as hub:
        hub.add("org/repo", {path.name: path.read_bytes() for path in source.iterdir()})
        yield hub


def install(library: ModelLibrary, fake: FakeHub, *names: str) -> list[Path]:
    """As downloads leave files, with their notes."""
    repository = fake.find("org/repo")
    assert repository is not None
    folder = library.folder / "org" / "repo"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        data = repository.files[name]
        (folder / name).write_bytes(data)
        record_provenance(folder / name, Provenance("org/repo", "abc", name, len(data), ""))
    return [folder / name for name in names]


def fetched(fake: FakeHub) -> list[str]:
    return [request.path.rpartition("/")[2] for request in fake.requests if "/resolve/" in request.path]


async def listed(library: ModelLibrary, name: str) -> InstalledModel:
    await library.refresh()
    return library.resolve(name)


async def fetch_repair(library: ModelLibrary, settings: SettingsStore, fake: FakeHub, model: InstalledModel) -> None:
    hub = Hub(endpoint=fake.endpoint)
    downloads = DownloadManager(hub, settings, lambda: library.folder)
    try:
        repair = await library.repair_of(model, hub)
        await downloads.wait(downloads.start(repair.repository, repair.file, repair.projector))
    finally:
        await downloads.close()


async def test_a_projector_that_was_deleted_is_missed_with_its_size_and_fetched_again(
    library: ModelLibrary, settings: SettingsStore, fake: FakeHub
) -> None:
    _, projector = install(library, fake, "m-Q8_0.gguf", "mmproj-BF16.gguf")
    assert (await listed(library, "m-Q8_0")).missing == ()
    size_bytes = projector.stat().st_size
    projector.unlink()

    model = await listed(library, "m-Q8_0")
    assert model.missing == (MissingPart(PartKind.PROJECTOR, "mmproj-BF16.gguf", size_bytes, "org/repo"),)
    await fetch_repair(library, settings, fake, model)

    repaired = await listed(library, "m-Q8_0")
    assert repaired.projector == projector
    assert repaired.missing == ()
    assert fetched(fake) == ["mmproj-BF16.gguf"]


async def test_a_shard_that_was_deleted_is_fetched_again_and_no_other(
    library: ModelLibrary, settings: SettingsStore, fake: FakeHub
) -> None:
    names = [f"Big-Q4_K_M-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    shards = install(library, fake, *names)
    shards[1].unlink()

    model = await listed(library, "Big-Q4_K_M")
    assert model.problem is not None
    assert [(part.kind, part.name) for part in model.missing] == [(PartKind.SHARD, names[1])]
    await fetch_repair(library, settings, fake, model)

    assert (await listed(library, "Big-Q4_K_M")).problem is None
    assert fetched(fake) == [names[1]]


async def test_a_model_that_another_folder_keeps_gets_its_projector_from_ours(
    library: ModelLibrary, settings: SettingsStore, fake: FakeHub, tmp_path: Path
) -> None:
    file = write_model(tmp_path / "theirs" / "m-Q8_0.gguf", architecture="qwen3vl")
    record_provenance(file, Provenance("org/repo", "abc", "m-Q8_0.gguf", file.stat().st_size, ""))
    settings.update(models_folders=(file.parent,))
    model = await listed(library, "m-Q8_0")
    assert [(part.kind, part.repository) for part in model.missing] == [(PartKind.PROJECTOR, "org/repo")]

    await fetch_repair(library, settings, fake, model)

    assert (await listed(library, "m-Q8_0")).projector == library.folder / "org" / "repo" / "mmproj-F16.gguf"
    assert sorted(path.name for path in file.parent.iterdir()) == [".hearth.json", "m-Q8_0.gguf"]


async def test_the_catalogue_knows_which_models_see(library: ModelLibrary) -> None:
    entry = next(model for model in library.catalogue.models if "vision" in model.capabilities)
    stem = entry.repository.rpartition("/")[2].removesuffix("-GGUF")
    write_model(library.folder / entry.repository / f"{stem}-Q4_K_M.gguf")

    model = await listed(library, f"{stem}-Q4_K_M")

    assert [(part.kind, part.repository) for part in model.missing] == [(PartKind.PROJECTOR, entry.repository)]


async def test_what_can_not_be_repaired_says_why(library: ModelLibrary, fake: FakeHub, tmp_path: Path) -> None:
    hub = Hub(endpoint=fake.endpoint)
    write_model(library.folder / "flat.gguf", architecture="qwen2vl")
    write_model(library.folder / "whole.gguf")
    fake.add("org/blind", {"other.gguf": b"x" * 2000})
    install(library, fake, "Big-Q4_K_M-00001-of-00003.gguf")

    with pytest.raises(InvalidRequest, match="Nobody noted"):
        await library.repair_of(await listed(library, "flat"), hub)
    with pytest.raises(InvalidRequest, match="has everything"):
        await library.repair_of(await listed(library, "whole"), hub)
    blind = replace(await listed(library, "flat"), repository="org/blind")
    with pytest.raises(RepositoryNotFound, match="no projector"):
        await library.repair_of(blind, hub)
    moved = replace(await listed(library, "Big-Q4_K_M"), path=tmp_path / "Big-Q4_K_M-00001-of-00003.gguf")
    with pytest.raises(InvalidRequest, match="hearth pull org/repo"):
        await library.repair_of(moved, hub)
