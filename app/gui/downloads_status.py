"""All downloads at one moment, for the panel, the status line and the tray."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

from app.domain.models import DownloadProgress, DownloadState
from app.gui.bridge import Bridge
from app.gui.figures import duration_text, speed_text
from app.service.services import Services

__all__ = ["DownloadsStatus", "DownloadsWatch"]

_MOVING = (DownloadState.RUNNING, DownloadState.VERIFYING)
_REST_MS = 200
_OVER = (DownloadState.DONE, DownloadState.CANCELLED, DownloadState.FAILED)
_TOLD = (DownloadState.DONE, DownloadState.FAILED)


@dataclass(frozen=True, slots=True)
class DownloadsStatus:
    """In the order of their turns. Figures are of those that are not over."""

    downloads: tuple[DownloadProgress, ...] = ()

    @property
    def open(self) -> tuple[DownloadProgress, ...]:
        return tuple(one for one in self.downloads if one.state not in _OVER)

    @property
    def done_bytes(self) -> int:
        return sum(one.done_bytes for one in self.open)

    @property
    def total_bytes(self) -> int:
        return sum(one.total_bytes for one in self.open)

    @property
    def bytes_per_s(self) -> float:
        return sum(one.bytes_per_s for one in self.open)

    @property
    def eta_s(self) -> float | None:
        """For all that is to come, at the present speed; what a person paused is not to come."""
        to_come = [one for one in self.open if one.state is not DownloadState.PAUSED]
        left = sum(one.total_bytes - one.done_bytes for one in to_come)
        known = any(one.eta_s is not None for one in to_come)
        return left / self.bytes_per_s if known and self.bytes_per_s else None

    @property
    def text(self) -> str:
        """One line; "" while nothing is downloaded."""
        states = {one.state for one in self.open}
        if not states:
            return ""
        count = len(self.open)
        if states.isdisjoint(_MOVING):
            if states == {DownloadState.PAUSED}:
                return _tr("Downloads paused: {0}").format(count)
            return _tr("Downloads waiting: {0}").format(count)
        done = f"{100 * self.done_bytes // self.total_bytes} %" if self.total_bytes else ""
        words = [_tr("Downloading: {0}").format(count), done]
        if self.bytes_per_s:
            words.append(speed_text(self.bytes_per_s))
        if self.eta_s is not None:
            words.append(_tr("{0} left").format(duration_text(max(1, round(self.eta_s)))))
        return "  ·  ".join(word for word in words if word)


class DownloadsWatch(QObject):
    """Keeps a `DownloadsStatus` up to date; `changed` carries it, `ended` a DownloadProgress that has just come to its end.

    Lives on the Qt thread. Bytes that arrive are told of a few times a second, everything else at once.
    """

    changed = Signal(object)
    ended = Signal(object)

    def __init__(self, services: Services, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._status = DownloadsStatus()
        self._rest = QTimer(self, interval=_REST_MS, singleShot=True)
        self._rest.timeout.connect(lambda: self.changed.emit(self._status))
        downloads = services.downloads
        bridge.watch(downloads.changed, self._take_step)
        bridge.watch(downloads.listed, self._take_list)
        task = bridge.call(lambda: downloads.downloads, self)
        task.succeeded.connect(self._take_list)
        task.start()

    @property
    def status(self) -> DownloadsStatus:
        return self._status

    def _take_step(self, progress: DownloadProgress) -> None:
        known = self._status.downloads
        before = next((one for one in known if one.id == progress.id), None)
        if before is None:
            self._become((*known, progress))
        elif before.state is progress.state and before.error == progress.error:
            self._status = DownloadsStatus(tuple(progress if one is before else one for one in known))
            if not self._rest.isActive():
                self._rest.start()
        else:
            self._become(tuple(progress if one is before else one for one in known))
        if progress.state in _TOLD and (before is None or before.state is not progress.state):
            self.ended.emit(progress)

    def _take_list(self, downloads: tuple[DownloadProgress, ...]) -> None:
        self._become(downloads)

    def _become(self, downloads: tuple[DownloadProgress, ...]) -> None:
        self._rest.stop()
        self._status = DownloadsStatus(downloads)
        self.changed.emit(self._status)


def _tr(text: str) -> str:
    return QCoreApplication.translate("downloads", text)
