"""Getting models from wherever a person points: a file, a folder, a name, an address."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.request import url2pathname

from app.domain.errors import InvalidRequest, NotAModel
from app.domain.models import InstalledModel, ModelSource, RemoteFile, RemoteRepository
from app.library.choosing import choose, wanted_files
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_address import split_address
from app.library.library import ModelLibrary
from app.library.listing import models_at
from app.library.local_names import local_path
from app.library.placing import IMPORTED, Placing, copy_files, link_files
from app.library.provenance import Provenance, provenance_of
from app.library.undisturbed import undisturbed
from app.library.verify import told_hash
from app.library.web_file import is_web_file, web_file
from app.settings import SettingsStore

__all__ = ["ImportDownload", "ImportFiles", "ImportPlan", "ImportService", "ImportWay", "Imported", "named_path"]

_REPOSITORY: Final = re.compile(r"[^/]+/[^/]+")


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

    @property
    def broken(self) -> tuple[InstalledModel, ...]:
        """Those with a problem: they are neither linked nor copied."""
        return tuple(model for model in self.models if model.problem is not None)


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

    async def plan(self, text: str, *, here: Path | None = None) -> ImportPlan:
        """Understand what was typed, pasted or dropped: a path, a file: address, a name of the catalogue, `org/name:Q4_K_M`,
        or an address, on the hub or of a GGUF file elsewhere. Paths that are not absolute begin `here`.

        Raises InvalidRequest, NotAModel, and DownloadError kinds for what has to be looked up.
        """
        text = text.strip().strip("<>\"'")
        path = await asyncio.to_thread(named_path, text, here=here)
        if path is not None:
            return await asyncio.to_thread(_look, path, await self._library.refresh())
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
        # A folder is read for what may come to be in it; what is linked or copied has to be there.
        if len(plan.broken) == len(plan.models) and not (plan.is_folder and way is ImportWay.USE):
            problem = plan.broken[0].problem or ""
            raise NotAModel(plan.path, f"{problem[:1].lower()}{problem[1:]}")
        match way:
            case ImportWay.USE:
                return await self._use(plan)
            case ImportWay.LINK | ImportWay.COPY:
                items = await asyncio.to_thread(_placings, plan, self._library.folder)
                if items:
                    await self._place(items, way, on_bytes)
        listed = await self._library.refresh()
        return await asyncio.to_thread(_same, (*plan.models, *(item.target for item in items)), listed)

    async def _use(self, plan: ImportFiles) -> tuple[InstalledModel, ...]:
        if not plan.is_folder:
            return (await self._library.add(plan.path),)
        folders = self._settings.current.models_folders
        if not any(folder == plan.path or folder in plan.path.parents for folder in (self._library.folder, *folders)):
            self._settings.update(models_folders=(*folders, plan.path))
        listed = await self._library.refresh()
        return await asyncio.to_thread(_same, plan.models, listed)

    async def _place(self, items: Sequence[Placing], way: ImportWay, on_bytes: Callable[[int], None]) -> None:
        if way is ImportWay.LINK:
            await undisturbed(link_files, items)
            return
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def tell(copied: int) -> None:
            loop.call_soon_threadsafe(on_bytes, copied)

        copying = asyncio.ensure_future(
            asyncio.to_thread(copy_files, items, self._library.folder, on_bytes=tell, stopped=stopped)
        )
        try:
            await asyncio.shield(copying)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.gather(copying, return_exceptions=True)
            raise


def named_path(text: str, *, here: Path | None = None) -> Path | None:
    """The file or folder that is meant, None for what may be a name or an address. Paths that are not absolute begin `here`.

    Raises InvalidRequest where nothing is there for what can only be a path, NotAModel for what is no file. Blocks on the disk.
    """
    if not text or "\0" in text:
        raise InvalidRequest("Enter a file, a folder, a repository as owner/name, or its address.", param="path")
    address = split_address(text) if text[:5].casefold() == "file:" else None
    try:
        path = Path(url2pathname(address.path) if address else text).expanduser()
    except RuntimeError as error:
        raise InvalidRequest(f"{text} names no folder: {error}", param="path") from error
    # `org/name.gguf` may be a repository.
    is_file = path.suffix.casefold() == ".gguf" and text.count("/") != 1 and "://" not in text
    if not path.is_absolute() and not (here or address or is_file or text.startswith(".")):
        return None
    path = Path(os.path.normpath((here or Path.cwd()) / path))
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        if not (Path(text).is_absolute() or address or is_file or text.startswith((".", "~"))):
            return None
        raise InvalidRequest(f"There is no file or folder {path}.", param="path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "that is no path"
        raise InvalidRequest(f"{str(path)[:200]} can't be read: {reason}.", param="path") from error
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise NotAModel(path, "it is neither a file nor a folder.")
    return path


def _look(path: Path, listed: Sequence[InstalledModel]) -> ImportFiles:
    """What is there; of what is listed already, with all that is known to belong to it. Raises NotAModel."""
    is_folder = path.is_dir()
    known_by_file = {_identity(model.path): model for model in listed}
    found = [known_by_file.get(_identity(model.path), model) for model in models_at(path)]
    if not found and is_folder:
        # A store of another program has files whose names don't end in .gguf.
        found = [model for model in listed if path in model.path.parents]
    if not found:
        raise NotAModel(path, "there is no model in it." if is_folder else "it is none, nor a part of one.")
    return ImportFiles(path, is_folder, tuple(found), tuple(model for model in listed if model in found))


def _same(found: Iterable[InstalledModel | Path], listed: Sequence[InstalledModel]) -> tuple[InstalledModel, ...]:
    """Those that are listed of what was found, by their files."""
    files = {_identity(one if isinstance(one, Path) else one.path) for one in found}
    return tuple(model for model in listed if _identity(model.path) in files)


def _identity(file: Path) -> object:
    """The same for all names of a file."""
    with contextlib.suppress(OSError):
        status = file.stat()
        if status.st_ino:
            return (status.st_dev, status.st_ino)
    return os.path.realpath(file)


def _placings(plan: ImportFiles, ours: Path) -> list[Placing]:
    """Every file that our own folder does not have, and its place there. Raises InvalidRequest."""
    items: dict[Path, Placing] = {}
    for model in plan.models:
        if model.problem is not None or model.source in (ModelSource.LIBRARY, ModelSource.BUILT_IN):
            continue
        if model.adapters:
            raise InvalidRequest(
                f"{model.name} is a model with adapters that another program puts together. Use it where it is.", param="how"
            )
        for file in model.files:
            origin = _origin(model, file)
            target = _target(plan, model, file, origin, ours)
            items.setdefault(target, Placing(file, target, origin))
    return list(items.values())


def _target(plan: ImportFiles, model: InstalledModel, file: Path, origin: Provenance, ours: Path) -> Path:
    """Where a download from its repository would be, else in a folder of its own among what was imported."""
    name = _file_name(model, file)
    if _REPOSITORY.fullmatch(origin.repository):
        return local_path(ours, origin.repository, origin.name if origin.name.casefold().endswith(".gguf") else name)
    if plan.is_folder and model.source is ModelSource.FOLDER and plan.path in model.path.parents:
        within = model.path.parent.relative_to(plan.path).as_posix()
        return local_path(ours, IMPORTED, f"{plan.path.name}/{within}/{name}")
    return local_path(ours, IMPORTED, f"{model.id}/{name}")


def _file_name(model: InstalledModel, file: Path) -> str:
    """Its own, unless that does not say what it is: in Ollama's store files are called by their hashes."""
    if file.suffix.casefold() == ".gguf":
        return file.name
    name = model.id.rpartition("/")[2].replace(":", "-")
    if file == model.path:
        return f"{name}.gguf"
    return f"mmproj-{name}.gguf" if file == model.projector else f"{name}-{model.files.index(file)}.gguf"


def _origin(model: InstalledModel, file: Path) -> Provenance:
    """What was noted of it, else what is known by itself."""
    sha256, _ = told_hash(file)
    noted = provenance_of(file)
    try:
        size_bytes = file.stat().st_size
    except OSError as error:
        raise InvalidRequest(f"{file} can't be read: {error.strerror or error}.", param="path") from error
    if noted is not None and noted.size_bytes == size_bytes:
        return noted
    return Provenance(model.repository, "", file.name, size_bytes, sha256)
