"""Getting models: from the hub to the downloads on their way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from app.domain.models import DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.gui.bridge import Bridge
from app.gui.desktop import Desktop
from app.gui.downloads_status import DownloadsWatch
from app.gui.figures import size_text
from app.gui.models.downloads_panel import DownloadsPanel
from app.gui.models.hub_lookup import Named
from app.gui.models.hub_search import HubSearch
from app.gui.models.repository_page import RepositoryPage
from app.service.services import Services

__all__ = ["GetPage"]

# More than this is not thrown away without asking.
_DEAR_BYTES = 100_000_000


class GetPage(QStackedWidget):
    """A search, and the repository that was found; joins these and the downloads to the services. Whoever shows
    this page shows `downloads` too, where they can be seen.

    `began` says that something new was asked for, `failed` carries an exception, `shown` the id of an installed model to look
    at, `installed` says that a download is done.
    """

    began = Signal()
    failed = Signal(object)
    shown = Signal(str)
    installed = Signal()

    def __init__(
        self, services: Services, bridge: Bridge, parent: QWidget | None = None, *, desktop: Desktop | None = None
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._desktop = desktop or Desktop()
        self.search = HubSearch(services, bridge)
        self.repository = RepositoryPage(services, bridge, desktop=self._desktop)
        self.downloads = DownloadsPanel()
        self._watch = DownloadsWatch(services, bridge, self)
        self.addWidget(self.search)
        self.addWidget(self.repository)
        self._connect()

    def _connect(self) -> None:
        manager = self._services.downloads
        self.search.opened.connect(self.open_repository)
        self.repository.left.connect(self._leave)
        self.repository.download_asked.connect(self.download)
        self._watch.changed.connect(self.downloads.show_downloads)
        self._watch.ended.connect(self._ended)
        panel = self.downloads
        panel.pause_asked.connect(lambda one: self._do(lambda: manager.pause(one)))
        panel.resume_asked.connect(lambda one: self._do(lambda: manager.resume(one)))
        panel.retry_asked.connect(lambda one: self._do(lambda: manager.retry(one)))
        panel.forget_asked.connect(lambda one: self._do(lambda: manager.forget(one)))
        panel.move_asked.connect(lambda one, place: self._do(lambda: manager.move(one, place)))
        panel.pause_all_asked.connect(lambda: self._do(manager.pause_all))
        panel.resume_all_asked.connect(lambda: self._do(manager.resume_all))
        panel.cancel_asked.connect(self._cancel)
        panel.show_asked.connect(self._show)

    def open_repository(self, named: Named) -> None:
        """Show a repository in place of the search."""
        self.setCurrentWidget(self.repository)
        self.repository.look_at(named)

    def _leave(self) -> None:
        self.repository.leave()
        self.setCurrentWidget(self.search)
        self.search.list.setFocus()

    def download(self, repository: RemoteRepository, file: RemoteFile, projector: RemoteFile | None) -> None:
        self._do(lambda: self._services.downloads.start(repository, file, projector))

    def _cancel(self, download_id: str) -> None:
        progress = next((one for one in self._watch.status.downloads if one.id == download_id), None)
        if progress is None or not self._may_be_thrown_away(progress):
            return

        async def cancel() -> None:
            manager = self._services.downloads
            manager.cancel(download_id)
            # It may have been started again meanwhile.
            if (await manager.wait(download_id)).state is DownloadState.CANCELLED:
                manager.forget(download_id)

        task = self._bridge.submit(cancel(), self)
        task.failed.connect(self.failed)
        task.start()

    def _may_be_thrown_away(self, progress: DownloadProgress) -> bool:
        if progress.done_bytes < _DEAR_BYTES:
            return True
        return self._desktop.confirm(
            self.downloads,
            title=self.tr("Cancel a download"),
            text=self.tr("Cancel the download of {0}?").format(PurePosixPath(progress.label).stem),
            details=self.tr("What has arrived, {0}, is deleted. To go on later, pause it instead.").format(
                size_text(progress.done_bytes)
            ),
            action=self.tr("Delete it"),
        )

    def _show(self, progress: DownloadProgress) -> None:
        """Find the model that this download brought."""
        name = PurePosixPath(progress.label).name
        library = self._services.library

        def find() -> str | None:
            named = [model for model in library.models if any(file.name == name for file in model.files)]
            return next((model.id for model in named if model.is_from(progress.repository)), None)

        task = self._bridge.call(find, self)
        task.succeeded.connect(lambda model_id: self.shown.emit(model_id) if model_id else None)
        task.start()

    def _ended(self, progress: DownloadProgress) -> None:
        if progress.state is DownloadState.DONE:
            self.installed.emit()

    def _do(self, act: Callable[[], object]) -> None:
        self.began.emit()
        task = self._bridge.call(act, self)
        task.failed.connect(self.failed)
        task.start()
