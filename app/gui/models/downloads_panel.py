"""Downloads on their way: how far, how fast, how long still, and how to stop or take them up again."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from app.domain.models import DownloadProgress, DownloadState
from app.gui.controls import Card, ElidedLabel, button, label, tool_button
from app.gui.figures import duration_text, size_text, speed_text
from app.gui.theme import Theme

__all__ = ["DownloadsPanel"]

_MOST_HIGH = 190
_UNDER_WAY = (DownloadState.QUEUED, DownloadState.RUNNING, DownloadState.VERIFYING)


class DownloadsPanel(QScrollArea):
    """One row for each download of this session; hidden while there is none. Signals carry the download's id."""

    cancel_asked = Signal(str)
    retry_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, _Row] = {}
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("Downloads"))
        self._body = QWidget()
        self._body.setProperty("role", "page")
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(Theme.GAP)
        self._column.addWidget(label(self.tr("Downloads"), "caption"))
        self.setWidget(self._body)
        self.hide()

    def show_progress(self, progress: DownloadProgress) -> None:
        row = self._rows.get(progress.id)
        if row is None:
            row = self._rows[progress.id] = _Row(progress.id)
            row.cancel_asked.connect(self.cancel_asked)
            row.retry_asked.connect(self.retry_asked)
            row.dismissed.connect(self._dismiss)
            self._column.addWidget(row)
        row.show_progress(progress)
        if progress.state is DownloadState.CANCELLED:
            self._dismiss(progress.id)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """As high as its rows, up to a limit."""
        self.setVisible(bool(self._rows))
        self.setFixedHeight(min(self._body.sizeHint().height(), _MOST_HIGH))

    def _dismiss(self, download_id: str) -> None:
        row = self._rows.pop(download_id, None)
        if row is not None:
            self._column.removeWidget(row)
            # The keyboard would otherwise go to whatever button comes next in the window.
            if row.isAncestorOf(QApplication.focusWidget() or self):
                self.setFocus()
            row.hide()
            row.deleteLater()
        self._fit()


class _Row(Card):
    """One download."""

    cancel_asked = Signal(str)
    retry_asked = Signal(str)
    dismissed = Signal(str)

    def __init__(self, download_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = ElidedLabel()
        self._bar = QProgressBar(textVisible=False, maximum=1000)
        self._text = label(role="caption", wrap=True)
        self._cancel = button(self.tr("Cancel"), kind="quiet")
        self._retry = button(self.tr("Try again"), "refresh")
        self._close = tool_button("close", self.tr("Take off this list"))
        self._cancel.clicked.connect(lambda: self.cancel_asked.emit(download_id))
        self._retry.clicked.connect(lambda: self.retry_asked.emit(download_id))
        self._close.clicked.connect(lambda: self.dismissed.emit(download_id))
        top = QHBoxLayout()
        top.addWidget(self._name, 1)
        for made in (self._retry, self._cancel, self._close):
            top.addWidget(made)
        self.body.setSpacing(Theme.TIGHT)
        self.body.addLayout(top)
        self.body.addWidget(self._bar)
        self.body.addWidget(self._text)

    def show_progress(self, progress: DownloadProgress) -> None:
        under_way = progress.state in _UNDER_WAY
        self._name.set_full_text(f"{progress.repository}  ·  {progress.label}")
        self._bar.setAccessibleName(self.tr("Download of {0}").format(progress.label))
        self._bar.setVisible(under_way)
        self._bar.setValue(round(1000 * progress.done_bytes / progress.total_bytes) if progress.total_bytes else 0)
        self._text.setText(self._words(progress))
        self._text.setProperty("role", "error" if progress.state is DownloadState.FAILED else "caption")
        self._text.style().polish(self._text)
        self._cancel.setVisible(under_way)
        self._cancel.setAccessibleName(self.tr("Cancel the download of {0}").format(progress.label))
        self._retry.setVisible(progress.state is DownloadState.FAILED)
        self._retry.setAccessibleName(self.tr("Try the download of {0} again").format(progress.label))
        self._close.setVisible(not under_way)

    def _words(self, progress: DownloadProgress) -> str:
        match progress.state:
            case DownloadState.QUEUED:
                return self.tr("Waiting to start")
            case DownloadState.VERIFYING:
                return self.tr("Checking that everything arrived unharmed")
            case DownloadState.DONE:
                return self.tr("Done, {0}. The model is in your list.").format(size_text(progress.total_bytes))
            case DownloadState.CANCELLED:
                return self.tr("Cancelled")
            case DownloadState.FAILED:
                return progress.error or self.tr("The download failed.")
            case DownloadState.WAITING:
                return progress.error or self.tr("Waiting for another try")
            case DownloadState.PAUSED:
                return progress.error or self.tr("Paused")
            case DownloadState.RUNNING:
                return self._pace(progress)

    def _pace(self, progress: DownloadProgress) -> str:
        words = [self.tr("{0} of {1}").format(size_text(progress.done_bytes), size_text(progress.total_bytes))]
        if progress.bytes_per_s:
            words.append(speed_text(progress.bytes_per_s))
        if progress.eta_s is not None:
            words.append(self.tr("{0} left").format(duration_text(max(1, round(progress.eta_s)))))
        return "  ·  ".join(words)
