"""Getting models from wherever a person points: a file, a folder, a name, an address."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from app.domain.errors import InvalidRequest, NotAModel
from app.domain.models import InstalledModel, RemoteFile, RemoteRepository
from app.library.choosing import choose, wanted_files
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.library import ModelLibrary
from app.library.listing import models_at
from app.library.local_names import local_path
from app.library.placing import copy_files, link_files
from app.library.web_file import is_web_file, web_file
from app.settings import SettingsStore

__all__ = ["ImportDownload", "ImportFiles", "ImportPlan", "ImportService", "ImportWay", "Imported"]


class ImportWay(enum.StrEnum):
    """USE a file where it is, LINK it into our own folder (no space is taken), or COPY it there."""

    USE = "use"
    LINK = "link"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class ImportFiles:
    """Models on this computer, found in a file or a folder: `models` as they would be listed, with all their files.

    `known` are those that are listed already.
    """

    path: Path
    is_folder: bool
    models: tuple[InstalledModel, ...]
    known: tuple[InstalledModel, ...]

    @property
    def size_bytes(self) -> int:
        return sum(model.size_bytes for model in self.models)


@dataclass(frozen=True, slots=True)
class ImportDownload:
    """A model on the hub or elsewhere on the web, with its projector if it has one."""

    repository: RemoteRepository
    file: RemoteFile
    projector: RemoteFile | None


ImportPlan: TypeAlias = ImportFiles | ImportDownload


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import led to: models that are listed now, or a download that has begun."""

    models: tuple[InstalledModel, ...] = ()
    download_id: str = ""


class ImportService:
    """Owned by the service loop; files are looked at and copied on other threads."""

    def __init__(self, library: ModelLibrary, hub: Hub, downloads: DownloadManager, settings: SettingsStore) -> None:
        self._library = library
        self._hub = hub
        self._downloads = downloads
        self._settings = settings

    async def plan(self, text: str) -> ImportPlan:
        """Understand what was typed, pasted or dropped: a path, a file: address, a name of the catalogue, `org/name:Q4_K_M`,
        or an address, on the hub or of a GGUF file elsewhere.

        Raises InvalidRequest, NotAModel, and DownloadError kinds for what has to be looked up.
        """
        text = text.strip().strip("<>\"'")
        found = await asyncio.to_thread(_look, text, await self._library.refresh())
        if found is not None:
            return found
        if is_web_file(text, endpoint=self._hub.endpoint):
            return ImportDownload(*await web_file(self._hub.access, text), projector=None)
        wanted = wanted_files(self._library.catalogue, text, endpoint=self._hub.endpoint)
        listing = await self._hub.repository(wanted.repository)
        file = choose(listing, wanted)
        return ImportDownload(listing, file, self._hub.best_projector(listing, file))

    async def run(
        self, plan: ImportPlan, way: ImportWay = ImportWay.USE, *, on_bytes: Callable[[int], None] = lambda _copied: None
    ) -> Imported:
        """Do it. `on_bytes` is told on the loop how much has been copied. Cancelled, it leaves nothing behind.

        Raises InvalidRequest, NotAModel, NotEnoughSpace, SettingsError.
        """
        match plan:
            case ImportDownload(repository, file, projector):
                return Imported(download_id=self._downloads.start(repository, file, projector))
            case ImportFiles():
                return Imported(models=await self._bring_in(plan, way, on_bytes))

    async def _bring_in(self, plan: ImportFiles, way: ImportWay, on_bytes: Callable[[int], None]) -> tuple[InstalledModel, ...]:
        broken = next((model for model in plan.models if model.problem is not None), None)
        if broken is not None and not plan.is_folder:
            raise NotAModel(plan.path, f"{broken.problem[:1].lower()}{broken.problem[1:]}" if broken.problem else "")
        sound = [model for model in plan.models if model.problem is None]
        if way is ImportWay.USE:
            return await self._use(plan)
        files = [(file, _target(self._library.folder, model)) for model in sound for file in model.files]
        await self._place(files, way, on_bytes)
        await self._library.refresh()
        names = {folder / file.name for file, folder in files}
        return tuple(model for model in self._library.models if model.path in names)

    async def _use(self, plan: ImportFiles) -> tuple[InstalledModel, ...]:
        if not plan.is_folder:
            return (await self._library.add(plan.path),)
        folders = self._settings.current.models_folders
        self._settings.update(models_folders=tuple(dict.fromkeys((*folders, plan.path))))
        listed = await self._library.refresh()
        return await asyncio.to_thread(_same, plan.models, listed)

    async def _place(self, files: list[tuple[Path, Path]], way: ImportWay, on_bytes: Callable[[int], None]) -> None:
        by_folder: dict[Path, list[Path]] = {}
        for file, folder in files:
            by_folder.setdefault(folder, []).append(file)
        loop, stopped, before = asyncio.get_running_loop(), threading.Event(), 0
        for folder, group in by_folder.items():
            if way is ImportWay.LINK:
                await asyncio.to_thread(link_files, group, folder)
                continue

            def tell(copied: int, before: int = before) -> None:
                loop.call_soon_threadsafe(on_bytes, before + copied)

            copying = asyncio.ensure_future(asyncio.to_thread(copy_files, group, folder, on_bytes=tell, stopped=stopped))
            try:
                await asyncio.shield(copying)
            except asyncio.CancelledError:
                stopped.set()
                await asyncio.wait({copying})
                raise
            before += sum(file.stat().st_size for file in group)


def _look(text: str, listed: Sequence[InstalledModel]) -> ImportFiles | None:
    """What is found on this computer, None if `text` names nothing here. Raises InvalidRequest, NotAModel."""
    path = _path(text)
    if path is None:
        return None
    is_folder = path.is_dir()
    found = models_at(path)
    if not found:
        raise NotAModel(path, "there is no model in it." if is_folder else "it is none, nor a part of one.")
    return ImportFiles(path, is_folder, found, _same(found, listed))


def _same(found: Sequence[InstalledModel], listed: Sequence[InstalledModel]) -> tuple[InstalledModel, ...]:
    """Those that are listed of what was found, by their files."""
    paths = {model.path.resolve() for model in found}
    return tuple(model for model in listed if model.path.resolve() in paths)


def _path(text: str) -> Path | None:
    """A file or folder that is there. Raises InvalidRequest for what can only be a path, but is none."""
    address = urlsplit(text)
    if not text or "\0" in text:
        raise InvalidRequest("Enter a file, a folder, a repository as owner/name, or its address.", param="path")
    path = Path(url2pathname(address.path) if address.scheme == "file" else text).expanduser()
    if path.exists():
        return path.absolute()
    # `org/name.gguf` may be a repository.
    is_file = path.suffix.casefold() == ".gguf" and text.count("/") != 1 and "://" not in text
    if address.scheme == "file" or path.is_absolute() or is_file:
        raise InvalidRequest(f"There is no file or folder {path}.", param="path")
    return None


def _target(folder: Path, model: InstalledModel) -> Path:
    """`<folder>/imported/<model>`: its files keep their names."""
    return local_path(folder, "imported", model.id)
