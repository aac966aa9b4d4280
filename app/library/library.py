"""Every model on this machine that Hearth may use."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import InvalidRequest, ModelNotFound, NotAModel, NotRemovable, NotRestorable, SettingsError
from app.domain.models import InstalledModel, ModelSource, MovedFolder, Removal, Verification
from app.domain.observable import Observable
from app.library.catalogue import Catalogue
from app.library.folder_watch import FolderWatch
from app.library.gguf import GgufKind, read_header
from app.library.headers import HeaderCache
from app.library.hub import Hub
from app.library.listing import BUILT_IN_ID, Listing, Places, list_models, no_stores
from app.library.local_names import NO_TEXT, no_text_in
from app.library.look import Look
from app.library.model_names import ModelNames
from app.library.placing import sweep_copies
from app.library.provenance import provenance_of
from app.library.relocation import Relocation, check_places, holds_files, place_for, sweep_move
from app.library.repair import Repair, plan_repair, repository_for
from app.library.stores import NoteCache, Notes, Store, StoreTrouble, Surroundings, find_stores
from app.library.trash import Trash, check_ours, freed_bytes
from app.library.undisturbed import undisturbed
from app.library.verify import check_files
from app.paths import Paths, resource
from app.settings import SettingsStore

__all__ = ["ModelLibrary", "own_folder"]

# The folders are not read again for a name that no model had this short a time ago.
_MISS_S = 1.0
_LOOK_S = 2.0
_TELL_S = 0.2


class ModelLibrary:
    """The built-in model, every GGUF in the models folders, and files a person added. Owned by the service loop."""

    def __init__(
        self,
        paths: Paths,
        settings: SettingsStore,
        *,
        clock: Callable[[], float] = time.monotonic,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.changed: Observable[tuple[InstalledModel, ...]] = Observable()
        self._paths = paths
        self._settings = settings
        self._clock = clock
        self._surroundings = surroundings or Surroundings.here()
        self.troubles: tuple[StoreTrouble, ...] = ()
        """Folders and stores of other programs that can't be read, as of the last `refresh`."""
        self._headers = HeaderCache(paths.cache / "headers.json")
        self._notes = NoteCache()
        self._opened: tuple[Path, ...] = ()
        self._models: tuple[InstalledModel, ...] = ()
        self.catalogue = Catalogue.read(resource("catalogue.json"))
        self._names = ModelNames((), self.catalogue)
        # One scan at a time: the cache of headers is not made for two threads.
        self._scanning = asyncio.Lock()
        self._next_scan: asyncio.Task[None] | None = None
        self._missed: dict[str, float] = {}
        self._watch = FolderWatch(self._places_now, self.refresh, clock)
        self._trash = Trash()
        self._swept: set[Path] = set()
        self._removals: dict[str, _Forgotten] = {}

    @property
    def models(self) -> tuple[InstalledModel, ...]:
        """As of the last `refresh`: the built-in model first, then by name."""
        return self._models

    async def refresh(self) -> tuple[InstalledModel, ...]:
        """Read the folders again (on another thread), and the settings, and tell of changes.

        All who ask before the reading begins share it. One under way is not enough: it may have passed what has changed since.
        """
        self._settings.reread()
        if self._next_scan is None or self._next_scan.done():
            self._next_scan = asyncio.create_task(self._scan())
        await asyncio.shield(self._next_scan)
        return self._models

    def resolve(self, name: str) -> InstalledModel:
        """The model a client means by `name`: an id, unambiguous in another case, or a person's alias. Raises ModelNotFound.

        Where only one model fits, its name without quantization, its repository, either with `:QUANTIZATION`, and the
        catalogue's short name will do too.
        """
        return self._names.find(name, self._settings.current.aliases)

    def resolve_any(self, name: str) -> InstalledModel:
        """Like `resolve`, but where a person has set a fallback model, it answers to every name that no model has.

        A model whose file is of no use here gives way to the same model from the hub.
        """
        fallback = self._fallback_for(name)
        if not fallback:
            return self._names.in_place_of(self.resolve(name))
        try:
            return self._names.in_place_of(self.resolve(fallback))
        except ModelNotFound as missing:
            raise ModelNotFound(fallback, near=missing.near, pull=missing.pull, asked=name) from missing

    async def find(self, name: str) -> InstalledModel:
        """Like `resolve`, but not by an outdated list: another program may have put the model there, mended it or removed it.

        Raises ModelNotFound, for a second without looking into the folders again.
        """
        await self._look_for(name)
        return self.resolve(name)

    async def find_any(self, name: str) -> InstalledModel:
        """Like `find`, but with the fallback model as in `resolve_any`."""
        await self._look_for(name)
        if fallback := self._fallback_for(name):
            await self._look_for(fallback)
        return self.resolve_any(name)

    def aliases_of(self, model: InstalledModel) -> tuple[str, ...]:
        """The other names that this model answers to: those that a person gave it, then the catalogue's."""
        return self._names.aliases_of(model, self._settings.current.aliases)

    async def add(self, path: Path, projector: Path | None = None) -> InstalledModel:
        """Use a file where it is; it is listed from now on. Raises NotAModel."""
        path = _absolute(path)
        await asyncio.to_thread(_check, path, GgufKind.MODEL)
        if projector is not None:
            projector = _absolute(projector)
            await asyncio.to_thread(_check, projector, GgufKind.PROJECTOR)
        before = self._settings.current.added_files
        known = self._with_file(path)
        new = [file for file in (path if known is None or known.source is ModelSource.PATH else None, projector) if file]
        self._settings.update(added_files=tuple(dict.fromkeys((*before, *new))))
        await self.refresh()
        try:
            model = self._usable(path)
            if projector is not None and model.projector != projector:
                other = f"{model.name} uses {model.projector.name}, which lies beside it." if model.projector else ""
                raise NotAModel(projector, other or f"it was not made for {model.name}.")
        except NotAModel:
            self._settings.update(added_files=before)
            await self.refresh()
            raise
        return model

    async def open_path(self, path: Path) -> InstalledModel:
        """List a file for the life of this program only (`--model PATH`); its id is the file's stem. Raises NotAModel."""
        path = _absolute(path)
        await asyncio.to_thread(_check, path, GgufKind.MODEL)
        before = self._opened
        self._opened = tuple(dict.fromkeys((*before, path)))
        await self.refresh()
        try:
            return self._usable(path)
        except NotAModel:
            self._opened = before
            await self.refresh()
            raise

    @property
    def folder(self) -> Path:
        """Our own folder, where downloads go; it need not exist yet."""
        return own_folder(self._paths, self._settings)

    async def freed_by(self, model_id: str) -> int:
        """The bytes that removing it would give back. Raises ModelNotFound, and NotRemovable if it can't be removed."""
        model = self.resolve(model_id)
        own = self._own_files(model)
        await asyncio.to_thread(check_ours, model.name, own, self.folder)
        return await asyncio.to_thread(freed_bytes, own)

    async def remove(self, model_id: str) -> Removal:
        """Take our own files away, or forget an added one; until `close`, `restore` undoes it.

        Raises ModelNotFound, NotRemovable.
        """
        model = self.resolve(model_id)
        own = self._own_files(model)
        freed = await asyncio.to_thread(freed_bytes, own)
        trashed = await undisturbed(self._trash.put, model.name, own, self.folder) if own else ""
        before = self._settings.current.added_files, self._opened
        try:
            self._forget(model)
        except SettingsError:
            if trashed:
                await undisturbed(self._trash.restore, trashed)
            raise
        removal = Removal(trashed or uuid.uuid4().hex, model, freed)
        self._removals[removal.id] = _Forgotten(removal, trashed, *before)
        await self.refresh()
        return removal

    @property
    def removals(self) -> tuple[Removal, ...]:
        """What `restore` can bring back, the last one last."""
        return tuple(forgotten.removal for forgotten in self._removals.values())

    async def restore(self, removal_id: str) -> InstalledModel:
        """Bring back what was removed, where it was. Raises NotRestorable."""
        forgotten = self._removals.get(removal_id)
        if forgotten is None:
            raise NotRestorable("It was deleted for good and can't be brought back.")
        if forgotten.trashed:
            await undisturbed(self._trash.restore, forgotten.trashed)
        del self._removals[removal_id]
        files = forgotten.removal.model.files
        added = _merged(forgotten.added, self._settings.current.added_files, files)
        if added != self._settings.current.added_files:
            self._settings.update(added_files=added)
        self._opened = _merged(forgotten.opened, self._opened, files)
        await self.refresh()
        model = self._with_file(forgotten.removal.model.path)
        if model is None:
            raise NotRestorable(f"{forgotten.removal.model.path} is gone.")
        return model

    async def repair_of(self, model: InstalledModel, hub: Hub) -> Repair:
        """What to download so that the model has everything. Raises DownloadError kinds, and InvalidRequest where nothing is
        missing or nobody knows where to get it."""
        listing = await hub.repository(repository_for(model))
        note = await asyncio.to_thread(provenance_of, model.path)
        return plan_repair(model, listing, self.folder, note.name if note is not None else "")

    async def verify(self, model_id: str, on_progress: Callable[[int, int], None] = lambda _done, _total: None) -> Verification:
        """Compare a model's files with the hashes noted when they came, or that their store calls them by.

        `on_progress` gets bytes done and in all, here on the loop, some times a second. Raises ModelNotFound.
        """
        model, stop = self.resolve(model_id), threading.Event()
        checking = asyncio.create_task(undisturbed(check_files, model.files, _on_loop(on_progress), stop))
        try:
            return Verification(model, await asyncio.shield(checking))
        finally:
            stop.set()
            await asyncio.wait({checking})

    async def move_folder(self, new: Path, on_progress: Callable[[int, int], None] = lambda _done, _total: None) -> MovedFolder:
        """Bring everything in our own folder to another place, which is our folder from then on; what was removed is gone.

        Where other things lie in `new`, it becomes a folder of its own in there. Downloads wait until it is done.
        At any moment, also after a crash, each file is in a folder that is listed. `on_progress` gets bytes done and in all,
        here on the loop; while it copies, cancelling leaves all as it was. Raises NotMovable, NotEnoughSpace, SettingsError.
        """
        old, stop = self.folder, threading.Event()
        new = await asyncio.to_thread(place_for, old, _absolute(new))
        await asyncio.to_thread(check_places, old, new)
        self._removals.clear()
        await undisturbed(self._trash.empty)
        relocation = Relocation(old, new)
        bringing = asyncio.create_task(undisturbed(relocation.bring, _on_loop(on_progress), stop))
        try:
            await asyncio.shield(bringing)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({bringing})
            await undisturbed(relocation.abandon)
            raise
        moved = await asyncio.shield(asyncio.create_task(self._move(relocation, old, new)))
        await self.refresh()
        return moved

    async def _move(self, relocation: Relocation, old: Path, new: Path) -> MovedFolder:
        """Both folders are listed until the old one is empty."""
        others = tuple(folder for folder in self._settings.current.models_folders if _absolute(folder) not in (old, new))
        async with self._scanning:
            own = None if new == _absolute(self._paths.models) else new
            try:
                self._settings.update(models_folder=own, models_folders=(*others, old))
            except SettingsError:
                await undisturbed(relocation.abandon)
                raise
            left = await undisturbed(relocation.finish)
            # Also what was put there meanwhile is not to be lost from the list.
            if not await asyncio.to_thread(holds_files, old):
                self._settings.update(models_folders=others)
        return MovedFolder(new, left)

    def watch(self, *, every_s: float = _LOOK_S) -> None:
        """From now on files that appear or vanish, and changed settings, show up by themselves, until `close`."""
        self._watch.start(every_s)

    async def close(self) -> None:
        """Delete for good what was removed, and watch no longer."""
        await self._watch.close()
        self._removals.clear()
        await undisturbed(self._trash.empty)

    async def _scan(self) -> None:
        async with self._scanning:
            self._next_scan = None
            places = self._places()
            if places.library not in self._swept:
                self._swept.add(places.library)
                await undisturbed(Trash.sweep, places.library)
                await undisturbed(sweep_copies, places.library)
                await undisturbed(sweep_move, places.library)
            begun = self._clock()
            listing = await undisturbed(list_models, places, self._headers)
            self._watch.note(places, listing.seen, self._clock() - begun)
        self._take(listing)

    async def _look_for(self, name: str) -> None:
        """Have the list right about a name: read the folders again unless they have what it says."""
        self._settings.reread()
        match self._fitting(name):
            case [found]:
                model = self._names.in_place_of(found)
                if model.problem is None and await asyncio.to_thread(_all_there, model):
                    return
            case _:
                if self._clock() - self._missed.get(name, -math.inf) < _MISS_S:
                    return
        await self.refresh()
        if len(self._fitting(name)) != 1:
            now = self._clock()
            self._missed = {known: at for known, at in self._missed.items() if now - at < _MISS_S} | {name: now}

    def _fallback_for(self, name: str) -> str:
        """What answers to a name that no model has; empty where one has it, or nothing was set."""
        return "" if self._fitting(name) else self._settings.current.fallback_model

    def _fitting(self, name: str) -> Sequence[InstalledModel]:
        return self._names.fitting(name, self._settings.current.aliases)

    def _places_now(self) -> Places:
        self._settings.reread()
        return self._places()

    def _places(self) -> Places:
        settings = self._settings.current
        return Places(
            built_in=resource(BUILT_IN_ID, f"{BUILT_IN_ID}.gguf"),
            library=self.folder,
            folders=tuple(dict.fromkeys(_absolute(folder) for folder in settings.models_folders)),
            added=tuple(_absolute(file) for file in settings.added_files),
            opened=self._opened,
            stores=self._stores if settings.other_stores else no_stores,
            catalogue=self.catalogue,
        )

    def _stores(self, look: Look) -> Iterator[Store]:
        """On the thread that reads."""
        return find_stores(self._surroundings, Notes(self._notes, look.stat), self._pull_name)

    def _pull_name(self, name: str) -> str:
        """What to get from the hub for the very same model; "" if the catalogue does not know it."""
        meaning = self.catalogue.meaning(name)
        return meaning.name if meaning is not None else ""

    def _take(self, listing: Listing) -> None:
        changed = (listing.models, listing.troubles) != (self._models, self.troubles)
        self.troubles = listing.troubles
        if listing.models != self._models:
            self._models = listing.models
            self._names = ModelNames(zip(listing.models, listing.places, strict=True), self.catalogue)
        if changed:
            self.changed.notify(self._models)

    def _with_file(self, path: Path) -> InstalledModel | None:
        real = os.path.realpath(path)
        return next((model for model in self._models if any(os.path.realpath(file) == real for file in model.files)), None)

    def _usable(self, path: Path) -> InstalledModel:
        model = self._with_file(path)
        if model is None:
            raise NotAModel(path, "it is gone.")
        if model.problem is not None:
            raise NotAModel(path, model.problem[:1].lower() + model.problem[1:])
        return model

    def _own_files(self, model: InstalledModel) -> Sequence[Path]:
        """The files that go with it: those in our folder that no other model uses. Raises NotRemovable."""
        match model.source:
            case ModelSource.BUILT_IN:
                raise NotRemovable(f"{model.name} is part of Hearth and can't be removed.")
            case ModelSource.ADDED | ModelSource.PATH:
                return ()
            case ModelSource.LIBRARY:
                return [file for file in model.files if file not in self._used_by_others(model)]
            case ModelSource.FOLDER:
                raise NotRemovable(
                    f"{model.name} is in {model.path.parent}, a folder that Hearth only reads. "
                    "Delete it there if you don't need it."
                )
            case other:
                raise NotRemovable(f"{model.name} belongs to another program ({other}). Remove it there if you don't need it.")

    def _forget(self, model: InstalledModel) -> None:
        """Take the files that are listed for this model's sake alone off the lists of added and opened ones."""
        forgotten = frozenset(model.files) - self._used_by_others(model)
        added = tuple(path for path in self._settings.current.added_files if path not in forgotten)
        if added != self._settings.current.added_files:
            self._settings.update(added_files=added)
        self._opened = tuple(path for path in self._opened if path not in forgotten)

    def _used_by_others(self, model: InstalledModel) -> frozenset[Path]:
        return frozenset(file for other in self._models if other.id != model.id for file in other.files)


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """A removal and what it takes to undo it; `trashed` is "" where no file was touched."""

    removal: Removal
    trashed: str
    added: tuple[Path, ...]
    opened: tuple[Path, ...]


def _merged(before: tuple[Path, ...], now: tuple[Path, ...], files: Collection[Path]) -> tuple[Path, ...]:
    """The list as it is now, with those of `files` that it had before in their old order."""
    wanted = [path for path in before if path in now or path in files]
    return tuple(dict.fromkeys((*wanted, *now)))


def _on_loop(on_progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """The same for another thread to call, as often as it likes."""
    loop, told_at = asyncio.get_running_loop(), -math.inf

    def tell(done: int, total: int) -> None:
        nonlocal told_at
        if done == total or time.monotonic() - told_at >= _TELL_S:
            told_at = time.monotonic()
            loop.call_soon_threadsafe(on_progress, done, total)

    return tell


def own_folder(paths: Paths, settings: SettingsStore) -> Path:
    """Where downloads go: as set, else the usual place."""
    return _absolute(settings.current.models_folder or paths.models)


def _absolute(path: Path) -> Path:
    """Raises InvalidRequest for the folder of a person whom this computer does not know."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise InvalidRequest(f"There is no folder {path.parts[0]} on this computer.", param="path") from error


def _all_there(model: InstalledModel) -> bool:
    return all(os.path.exists(file) for file in model.files)


def _check(path: Path, wanted: GgufKind) -> None:
    """Raise NotAModel, saying what the file is, if it is not of this kind."""
    if shown := no_text_in([str(path)]):
        raise NotAModel(Path(shown), NO_TEXT[:1].lower() + NO_TEXT[1:])
    kind = read_header(path).kind
    if kind is wanted or (kind is GgufKind.VOCABULARY and wanted is GgufKind.MODEL):
        return
    match kind:
        case GgufKind.PROJECTOR:
            reason = "it is a projector, the part of a model that sees. Choose the model itself; both are used together."
        case GgufKind.DRAFT:
            reason = "it is a draft model, which guesses ahead for another. Put it beside that model, and add that one."
        case GgufKind.ADAPTER:
            reason = "it is an adapter (LoRA), which changes a model but is none."
        case GgufKind.MODEL | GgufKind.VOCABULARY:
            reason = "it is no projector."
        case GgufKind.OTHER:
            reason = "it is a GGUF file, but holds no model."
    raise NotAModel(path, reason)
