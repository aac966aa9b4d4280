"""How the whole program is doing, for the status line, the sidebar and the tray."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from PySide6.QtCore import QCoreApplication, QObject, Signal

from app.domain.models import InstalledModel, LoadedModel, ModelState
from app.gui.bridge import Bridge
from app.gui.downloads_status import DownloadsStatus, DownloadsWatch
from app.gui.icons import TrayState
from app.service.server_control import ServerState
from app.service.services import Services

__all__ = ["Status", "StatusWatch"]


@dataclass(frozen=True, slots=True)
class Status:
    """The server, and the models that are not UNLOADED; `names` are what people call the installed models, by id."""

    server: ServerState = field(default_factory=lambda: ServerState(running=False))
    models: tuple[LoadedModel, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    downloads: DownloadsStatus = field(default_factory=DownloadsStatus)

    @property
    def tray(self) -> TrayState:
        if any(model.active_requests or model.state is ModelState.LOADING for model in self.models):
            return TrayState.BUSY
        if self.server.error:
            return TrayState.ERROR
        return TrayState.READY if self.server.running else TrayState.STOPPED

    @property
    def server_text(self) -> str:
        if self.server.running:
            return self.server.address or _tr("Server on")
        return _tr("Server could not start") if self.server.error else _tr("Server off")

    @property
    def model_text(self) -> str:
        loading = next((model for model in self.models if model.state is ModelState.LOADING), None)
        if loading is not None:
            return _tr("Loading {0}, {1} %").format(self._name(loading), round(loading.progress * 100))
        ready = [self._name(model) for model in self.models if model.state is ModelState.READY]
        return _tr("Loaded: {0}").format(", ".join(ready)) if ready else _tr("No model loaded")

    def _name(self, model: LoadedModel) -> str:
        return self.names.get(model.id, model.id)

    def with_model(self, model: LoadedModel) -> Status:
        others = tuple(one for one in self.models if one.id != model.id)
        return replace(self, models=others if model.state is ModelState.UNLOADED else (*others, model))


class StatusWatch(QObject):
    """Keeps a `Status` up to date; `changed` carries it, `download_ended` a DownloadProgress. Lives on the Qt thread."""

    changed = Signal(object)
    download_ended = Signal(object)

    def __init__(self, services: Services, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._status = Status()
        bridge.watch(services.server.changed, lambda server: self._become(replace(self._status, server=server)))
        bridge.watch(services.models.changed, lambda model: self._become(self._status.with_model(model)))
        bridge.watch(services.library.changed, self._take_names)
        downloads = DownloadsWatch(services, bridge, self)
        downloads.changed.connect(lambda found: self._become(replace(self._status, downloads=found)))
        downloads.ended.connect(self.download_ended)
        task = bridge.call(lambda: (services.server.state, services.models.loaded, services.library.models), self)
        task.succeeded.connect(self._start)
        task.start()

    @property
    def status(self) -> Status:
        return self._status

    def _start(self, found: tuple[ServerState, tuple[LoadedModel, ...], tuple[InstalledModel, ...]]) -> None:
        server, models, installed = found
        self._status = replace(self._status, server=server, models=models)
        self._take_names(installed)

    def _take_names(self, models: tuple[InstalledModel, ...]) -> None:
        self._become(replace(self._status, names={model.id: model.name for model in models}))

    def _become(self, status: Status) -> None:
        self._status = status
        self.changed.emit(status)


def _tr(text: str) -> str:
    return QCoreApplication.translate("status", text)
