"""Services that do on command what the real ones do by themselves. Kept by the service loop, like those."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from app.domain.errors import AddressInUse, AppError, RepositoryNotFound, SettingsError
from app.domain.fit import Fit, FitVerdict
from app.domain.hub import HubModel, HubPage, HubQuery, HubState, HubTest, HubToken, TokenSource
from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.domain.models import (
    Capability,
    DownloadProgress,
    DownloadState,
    FileCheck,
    FileState,
    InstalledModel,
    LoadedModel,
    ModelSource,
    ModelState,
    RemoteFile,
    RemoteRepository,
    Removal,
    Verification,
)
from app.domain.observable import Observable
from app.gui.desktop import Desktop
from app.library.catalogue import Catalogue
from app.library.repair import Repair
from app.library.stores import StoreTrouble
from app.paths import Paths, resource
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.imports import ImportDownload, Imported, ImportFiles, ImportPlan, ImportWay
from app.service.model_profiles import ModelProfiles
from app.service.refusals import Refusals
from app.service.server_control import ServerState
from app.service.services import Services
from app.settings import SettingsStore

__all__ = [
    "StandInDesktop",
    "StandInDownloads",
    "StandInFit",
    "StandInHub",
    "StandInHubAccess",
    "StandInImports",
    "StandInLibrary",
    "StandInModels",
    "StandInServer",
    "a_model",
    "a_repository",
    "stand_in_services",
]


def a_model(model_id: str = "ember", **changes: Any) -> InstalledModel:
    """A model as the library lists it."""
    fields: dict[str, Any] = {
        "id": model_id,
        "name": model_id.replace("-", " ").title(),
        "path": Path("/models") / f"{model_id}.gguf",
        "projector": None,
        "files": (Path("/models") / f"{model_id}.gguf",),
        "size_bytes": 4_368_439_584,
        "architecture": "llama",
        "quantization": "Q4_K_M",
        "parameters": 7_241_732_096,
        "n_ctx_train": 32768,
        "capabilities": frozenset({Capability.CHAT, Capability.COMPLETION}),
        "source": ModelSource.LIBRARY,
        "modified": datetime(2026, 1, 2, tzinfo=UTC),
        "license": "apache-2.0",
    }
    return InstalledModel(**{**fields, **changes})


def a_repository(**changes: Any) -> RemoteRepository:
    """A repository with three quantizations and a projector."""
    files = (
        RemoteFile(("Small-VL-Q8_0.gguf",), 2_100_000_000, "Q8_0", (None,)),
        RemoteFile(("Small-VL-Q4_K_M.gguf",), 1_250_000_000, "Q4_K_M", (None,)),
        RemoteFile(
            ("Small-VL-F16-00001-of-00002.gguf", "Small-VL-F16-00002-of-00002.gguf"), 4_000_000_000, "F16", (None, None)
        ),
        RemoteFile(("mmproj-Small-VL-F16.gguf",), 650_000_000, "F16", (None,), is_projector=True),
    )
    fields: dict[str, Any] = {
        "id": "acme/Small-VL-GGUF",
        "revision": "abc",
        "files": files,
        "license": "mit",
        "downloads": 1234,
    }
    return RemoteRepository(**{**fields, **changes})


class StandInLibrary:
    def __init__(self, *models: InstalledModel) -> None:
        self.changed: Observable[tuple[InstalledModel, ...]] = Observable()
        self.models: tuple[InstalledModel, ...] = models
        self.catalogue = Catalogue.read(resource("catalogue.json"))
        self.troubles: tuple[StoreTrouble, ...] = ()
        self.removals: tuple[Removal, ...] = ()
        self.refreshes = 0
        self.fails: AppError | None = None

    def put(self, *models: InstalledModel) -> None:
        self.models = models
        self.changed.notify(models)

    async def refresh(self) -> tuple[InstalledModel, ...]:
        self.refreshes += 1
        return self.models

    async def add(self, path: Path, projector: Path | None = None) -> InstalledModel:
        if self.fails is not None:
            raise self.fails
        model = a_model(path.stem, path=path, source=ModelSource.ADDED)
        self.put(*self.models, model)
        return model

    def aliases_of(self, model: InstalledModel) -> tuple[str, ...]:
        return ()

    def resolve(self, name: str) -> InstalledModel:
        return next(model for model in self.models if model.id == name)

    async def freed_by(self, model_id: str) -> int:
        return self.resolve(model_id).size_bytes

    async def remove(self, model_id: str) -> Removal:
        model = self.resolve(model_id)
        removal = Removal(f"removal of {model_id}", model, model.size_bytes)
        self.removals += (removal,)
        self.put(*(other for other in self.models if other.id != model_id))
        return removal

    async def restore(self, removal_id: str) -> InstalledModel:
        if self.fails is not None:
            raise self.fails
        removal = next(one for one in self.removals if one.id == removal_id)
        self.removals = tuple(one for one in self.removals if one is not removal)
        self.put(*self.models, removal.model)
        return removal.model

    async def verify(self, model_id: str, on_progress: Callable[[int, int], None]) -> Verification:
        on_progress(1, 2)
        model = self.resolve(model_id)
        return Verification(model, tuple(FileCheck(file, FileState.DAMAGED) for file in model.files))

    async def repair_of(self, model: InstalledModel, hub: object) -> Repair:
        repository = a_repository()
        return Repair(repository, repository.projectors[0])


class StandInImports:
    """Whatever is named is a model on this computer, and comes in at once."""

    def __init__(self, library: StandInLibrary) -> None:
        self._library = library
        self.ways: list[ImportWay] = []
        self.problem: str | None = None

    async def plan(self, text: str) -> ImportPlan:
        if self._library.fails is not None:
            raise self._library.fails
        if not text.startswith("/"):
            repository = a_repository(id=text)
            return ImportDownload(repository, repository.models[0], repository.projectors[0])
        path = Path(text)
        known = tuple(model for model in self._library.models if model.path == path)
        return ImportFiles(path, False, (a_model(path.stem, path=path, problem=self.problem),), known)

    async def run(self, plan: ImportFiles, way: ImportWay, *, on_bytes: Callable[[int], None]) -> Imported:
        self.ways.append(way)
        on_bytes(1)
        return Imported((await self._library.add(plan.path),))


class StandInModels:
    """A load stays at 0 until `proceed` is set."""

    def __init__(self) -> None:
        self.changed: Observable[LoadedModel] = Observable()
        self.states: dict[str, LoadedModel] = {}
        self.proceed = asyncio.Event()
        self.fails: AppError | None = None
        self.thinking: bool | None = True
        self.tried_anyway = False
        self.asked: list[str] = []

    async def thinks(self, name: str) -> bool | None:
        self.asked.append(name)
        return self.thinking

    @property
    def loaded(self) -> tuple[LoadedModel, ...]:
        return tuple(self.states.values())

    def state(self, model_id: str) -> LoadedModel:
        return self.states.get(model_id) or LoadedModel(model_id, ModelState.UNLOADED)

    def put(self, state: LoadedModel) -> None:
        self.states[state.id] = state
        self.changed.notify(state)

    async def load(self, name: str, *, try_anyway: bool = False) -> LoadedModel:
        self.tried_anyway = try_anyway
        self.put(LoadedModel(name, ModelState.LOADING, progress=0.4))
        await self.proceed.wait()
        if self.fails is not None:
            self.put(LoadedModel(name, ModelState.FAILED, error=str(self.fails)))
            raise self.fails
        ready = LoadedModel(name, ModelState.READY, progress=1.0, n_ctx=4096)
        self.put(ready)
        return ready

    async def unload(self, model_id: str) -> None:
        self.put(LoadedModel(model_id, ModelState.UNLOADED))
        self.states.pop(model_id, None)


class StandInFit:
    """Says of every model the same, unless it was told otherwise: `fits` by id or by name of the remote file."""

    def __init__(self) -> None:
        self.changed: Observable[None] = Observable()
        need = DeviceNeed(HOST, 2_000_000_000, 500_000_000, 300_000_000, free_bytes=16_000_000_000, margin_bytes=1_000_000_000)
        self.usual = Fit.of(MemoryPlan(8192, 0, 33, (need,), wanted_ctx=8192))
        self.fits: dict[str, Fit | AppError] = {}
        self.verdict = FitVerdict.MEMORY
        self.room_bytes = 15_000_000_000
        self.fails: AppError | None = None
        self.asked: list[tuple[str, int | None]] = []

    async def installed(self, model_id: str, *, n_ctx: int | None = None) -> Fit:
        return self._said(model_id, n_ctx)

    async def remote(
        self, repository: RemoteRepository, file: RemoteFile, projector: RemoteFile | None = None, *, n_ctx: int | None = None
    ) -> Fit:
        return self._said(file.label, n_ctx)

    async def recommended(self, repository: RemoteRepository) -> RemoteFile | None:
        return repository.models[-1] if repository.models else None

    async def rough(self, size_bytes: int, n_ctx_train: int = 0) -> FitVerdict:
        if self.fails is not None:
            raise self.fails
        return FitVerdict.TOO_LARGE if size_bytes > self.room_bytes else self.verdict

    def _said(self, name: str, n_ctx: int | None) -> Fit:
        self.asked.append((name, n_ctx))
        fit = self.fits.get(name, self.usual)
        if isinstance(fit, AppError):
            raise fit
        return fit


class StandInHub:
    """`pages` are what searches find, by the query's text; `queries` what was asked."""

    def __init__(self, *repositories: RemoteRepository) -> None:
        self.repositories = {repository.id: repository for repository in repositories}
        self.cards: dict[str, str] = {}
        self.pages: dict[str, tuple[HubModel, ...]] = {}
        self.queries: list[HubQuery] = []
        self.page_size = 30
        self.fails: AppError | None = None
        self.endpoint = "https://huggingface.co"
        self.tested = HubTest("https://huggingface.co", HubState.OK, latency_s=0.2)

    async def search(self, query: HubQuery) -> HubPage:
        self.queries.append(query)
        if self.fails is not None:
            raise self.fails
        found = self.pages.get(query.text, ())
        start = int(query.cursor or 0)
        end = start + self.page_size
        return HubPage(found[start:end], str(end) if end < len(found) else "")

    async def repository(self, repository: str) -> RemoteRepository:
        if self.fails is not None:
            raise self.fails
        if repository not in self.repositories:
            raise RepositoryNotFound(f"There is no repository {repository} on huggingface.co, or it is private.")
        return self.repositories[repository]

    async def card(self, repository: RemoteRepository) -> str:
        if self.fails is not None:
            raise self.fails
        return self.cards.get(repository.id, "")

    async def test(self) -> HubTest:
        return self.tested

    @staticmethod
    def best_projector(repository: RemoteRepository, file: RemoteFile) -> RemoteFile | None:
        return next(iter(repository.projectors), None)


class StandInHubAccess:
    """Keeps a token in memory, except the word `refused`."""

    def __init__(self) -> None:
        self.token_changed: Observable[None] = Observable()
        self.endpoint = "https://huggingface.co"
        self.kept: HubToken | None = None

    async def token(self) -> HubToken | None:
        return self.kept

    async def set_token(self, value: str) -> TokenSource:
        if value == "refused":
            raise SettingsError("This is no access token.")
        self.kept = HubToken(value, TokenSource.KEYRING)
        self.token_changed.notify(None)
        return TokenSource.KEYRING

    async def forget_token(self) -> None:
        self.kept = None
        self.token_changed.notify(None)


class StandInDownloads:
    """Downloads that get on when told to."""

    def __init__(self) -> None:
        self.changed: Observable[DownloadProgress] = Observable()
        self.listed: Observable[tuple[DownloadProgress, ...]] = Observable()
        self.states: dict[str, DownloadProgress] = {}
        self.started: list[tuple[str, str, str | None]] = []

    @property
    def downloads(self) -> tuple[DownloadProgress, ...]:
        return tuple(self.states.values())

    def put(self, progress: DownloadProgress) -> None:
        self.states[progress.id] = progress
        self.changed.notify(progress)

    def start(
        self,
        repository: RemoteRepository,
        file: RemoteFile,
        projector: RemoteFile | None = None,
        *,
        also: Sequence[RemoteFile] = (),
    ) -> str:
        self.started.append((repository.id, file.label, projector.label if projector else None))
        total = file.size_bytes + (projector.size_bytes if projector else 0)
        self.put(DownloadProgress("d1", repository.id, file.label, DownloadState.RUNNING, 0, total))
        return "d1"

    def pause(self, download_id: str) -> None:
        self._become(download_id, DownloadState.PAUSED)

    def resume(self, download_id: str) -> None:
        self._become(download_id, DownloadState.RUNNING)

    def retry(self, download_id: str) -> None:
        self._become(download_id, DownloadState.QUEUED)

    def cancel(self, download_id: str) -> None:
        self._become(download_id, DownloadState.CANCELLED)

    async def wait(self, download_id: str) -> DownloadProgress:
        return self.states[download_id]

    def forget(self, download_id: str) -> None:
        del self.states[download_id]
        self.listed.notify(self.downloads)

    def move(self, download_id: str, index: int) -> None:
        moved = self.states.pop(download_id)
        order = list(self.states.values())
        order.insert(index, moved)
        self.states = {one.id: one for one in order}
        self.listed.notify(self.downloads)

    def pause_all(self) -> None:
        for download_id in self.states:
            self.pause(download_id)

    def resume_all(self) -> None:
        for download_id in self.states:
            self.resume(download_id)

    def _become(self, download_id: str, state: DownloadState) -> None:
        self.put(replace(self.states[download_id], state=state, bytes_per_s=0.0, eta_s=None))


class StandInServer:
    """Takes the port the settings name, unless that is `taken`."""

    def __init__(self, settings: SettingsStore) -> None:
        self.changed: Observable[ServerState] = Observable()
        self.state = ServerState(running=False)
        self.taken: int | None = None
        self._settings = settings

    def put(self, state: ServerState) -> None:
        self.state = state
        self.changed.notify(state)

    async def start(self) -> None:
        port = self._settings.current.port
        if port == self.taken:
            error = AddressInUse(host="127.0.0.1", port=port, free_port=port + 1)
            self.put(ServerState(running=False, error=str(error)))
            raise error
        self.put(ServerState(running=True, address=f"http://127.0.0.1:{port}/v1"))

    async def stop(self) -> None:
        self.put(ServerState(running=False))


class StandInDesktop(Desktop):
    """Answers for the person, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.revealed: list[Path] = []
        self.pages: list[str] = []
        self.says_yes = True
        self.picks: int | None = 0
        self.file: Path | None = None

    def confirm(self, parent: object, *, title: str, text: str, details: str, action: str) -> bool:
        self.asked.append(f"{text} {details}")
        return self.says_yes

    def choose(self, parent: object, *, title: str, text: str, details: str, actions: tuple[str, ...]) -> int | None:
        self.asked.append(f"{text} {details}")
        return self.picks

    def tell(self, parent: object, *, title: str, text: str) -> None:
        self.asked.append(text)

    def model_file(self, parent: object, *, title: str, kind: str) -> Path | None:
        return self.file

    def conversation_files(self, parent: object, *, title: str, kind: str) -> tuple[Path, ...]:
        return (self.file,) if self.file is not None else ()

    def any_file(self, parent: object, *, title: str) -> Path | None:
        return self.file

    def settings_file(self, parent: object, *, title: str, kind: str) -> Path | None:
        return self.file

    def new_file(self, parent: object, *, title: str, name: str, kind: str) -> Path | None:
        self.asked.append(name)
        return self.file

    def folder(self, parent: object, *, title: str) -> Path | None:
        return self.file

    def reveal(self, path: Path) -> None:
        self.revealed.append(path)

    def open_page(self, address: str) -> None:
        self.pages.append(address)

    def open_folder(self, path: Path) -> None:
        self.revealed.append(path)


def stand_in_services(profile: Path, *models: InstalledModel) -> Services:
    """Services on a real profile with real settings; everything slow or far away is stood in for."""
    paths = Paths.of(profile)
    settings = SettingsStore(paths.settings_file)
    library = StandInLibrary(*models)
    return Services(
        paths=paths,
        settings=settings,
        library=cast(Any, library),
        hub=cast(Any, StandInHub(a_repository())),
        hub_access=cast(Any, StandInHubAccess()),
        downloads=cast(Any, StandInDownloads()),
        models=cast(Any, StandInModels()),
        profiles=ModelProfiles(cast(Any, library), settings),
        imports=cast(Any, StandInImports(library)),
        fit=cast(Any, StandInFit()),
        chat=cast(Any, None),
        embeddings=cast(Any, None),
        conversations=cast(Any, None),
        activity=Activity(),
        api_keys=ApiKeys(paths.api_keys),
        refusals=Refusals(),
        server=cast(Any, StandInServer(settings)),
    )
