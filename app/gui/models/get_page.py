"""Getting models: from the hub to the downloads on their way."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.domain.models import DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.gui.bridge import Bridge, Task
from app.gui.models.downloads_panel import DownloadsPanel
from app.gui.models.hub_panel import HubPanel
from app.service.services import Services

__all__ = ["GetPage"]


class GetPage(QWidget):
    """Joins the hub and the downloads to the services. Whoever shows this page shows `downloads` too, where they can be seen.

    `began` says that something new was asked for, `failed` carries an exception, `wanted` says that the page has to be looked
    at, `installed` that a download is done.
    """

    began = Signal()
    failed = Signal(object)
    wanted = Signal()
    installed = Signal()

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._known: dict[str, tuple[RemoteRepository, RemoteFile, RemoteFile | None]] = {}
        self.hub = HubPanel(services, bridge)
        self.downloads = DownloadsPanel()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.hub)
        self.hub.download_asked.connect(self.download)
        self.downloads.cancel_asked.connect(self._cancel)
        self.downloads.retry_asked.connect(self._retry)
        self._watch()

    def _watch(self) -> None:
        """Follow changes first, then look at what there is, so that nothing falls in between."""
        downloads = self._services.downloads
        self._bridge.watch(downloads.changed, self._show)
        task = self._bridge.call(lambda: downloads.downloads, self)
        task.succeeded.connect(self._show_all)
        task.failed.connect(self.failed)
        task.start()

    def download(self, repository: RemoteRepository, file: RemoteFile, projector: RemoteFile | None) -> None:
        task = self._bridge.call(lambda: self._services.downloads.start(repository, file, projector), self)

        def remember(download_id: str) -> None:
            self._known[download_id] = (repository, file, projector)

        task.succeeded.connect(remember)
        self._run(task)

    def _cancel(self, download_id: str) -> None:
        self._run(self._bridge.call(lambda: self._services.downloads.cancel(download_id), self))

    def _retry(self, download_id: str) -> None:
        known = self._known.get(download_id)
        if known is not None:
            self.download(*known)
        else:
            self.wanted.emit()

    def _run(self, task: Task) -> None:
        self.began.emit()
        task.failed.connect(self.failed)
        task.start()

    def _show_all(self, downloads: tuple[DownloadProgress, ...]) -> None:
        for progress in downloads:
            self.downloads.show_progress(progress)

    def _show(self, progress: DownloadProgress) -> None:
        self.downloads.show_progress(progress)
        if progress.state is DownloadState.DONE:
            self.installed.emit()
