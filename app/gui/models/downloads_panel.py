"""Downloads on their way: how far, how fast, how long still, and how to stop, order or take them up again."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.domain.models import DownloadProgress, DownloadState
from app.gui.controls import ElidedLabel, button, label, line, tool_button
from app.gui.downloads_status import DownloadsStatus
from app.gui.icons import IconRole, icon
from app.gui.models.download_row import DownloadRow
from app.gui.theme import Theme

__all__ = ["DownloadsPanel"]

_MOST_HIGH = 232
_PART = 4
_SECOND_MS = 1000
_STOPPED = (DownloadState.PAUSED,)
_HIDDEN = (DownloadState.CANCELLED,)


class DownloadsPanel(QWidget):
    """One row for each download, in order; hidden while there is none. Signals carry the download's id.

    `move_asked` carries the new place too, `show_asked` the DownloadProgress.
    """

    pause_asked = Signal(str)
    resume_asked = Signal(str)
    retry_asked = Signal(str)
    cancel_asked = Signal(str)
    forget_asked = Signal(str)
    move_asked = Signal(str, int)
    show_asked = Signal(object)
    pause_all_asked = Signal()
    resume_all_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, DownloadRow] = {}
        self._shown: tuple[DownloadProgress, ...] = ()
        self._all_stopped = False
        self._clock = QTimer(self, interval=_SECOND_MS)
        self._clock.timeout.connect(self._tell_time)
        self._most_high = _MOST_HIGH
        self._summary = ElidedLabel(role="caption", elide=Qt.TextElideMode.ElideRight)
        self.all_button = button(self.tr("Pause all"), kind="quiet")
        self.fold_button = tool_button("chevron-down", self.tr("Hide the downloads"))
        self.fold_button.setCheckable(True)
        self.all_button.clicked.connect(self._ask_all)
        self.fold_button.toggled.connect(self._fold)
        self.setAccessibleName(self.tr("Downloads"))
        self._lay_out()
        self.hide()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(Theme.GAP)
        head.addWidget(label(self.tr("Downloads"), "strong"))
        head.addWidget(self._summary, 1)
        head.addWidget(self.all_button)
        head.addWidget(self.fold_button)
        self._body = QWidget()
        self._body.setProperty("role", "page")
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(0, 0, Theme.PAD, 0)
        self._column.setSpacing(Theme.TIGHT)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setAccessibleName(self.tr("Downloads"))
        self._scroll.setWidget(self._body)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        column.addWidget(line())
        column.addLayout(head)
        column.addWidget(self._scroll)

    def show_downloads(self, status: DownloadsStatus) -> None:
        shown = tuple(one for one in status.downloads if one.state not in _HIDDEN)
        if [one.id for one in shown] != [one.id for one in self._shown]:
            self._arrange(shown)
        self._shown = shown
        movable = [one.id for one in status.open]
        for progress in shown:
            row = self._rows[progress.id]
            place = movable.index(progress.id) if progress.id in movable else None
            row.show_place(can_rise=bool(place), can_sink=place is not None and place < len(movable) - 1)
            row.show_progress(progress)
        self._show_head(status)
        waiting = any(one.state is DownloadState.WAITING for one in shown)
        if waiting != self._clock.isActive():
            self._clock.start() if waiting and self.isVisible() else self._clock.stop()
        self._fit()

    def _show_head(self, status: DownloadsStatus) -> None:
        self._summary.set_full_text(status.text)
        self._all_stopped = bool(status.open) and all(one.state in _STOPPED for one in status.open)
        text = self.tr("Resume all") if self._all_stopped else self.tr("Pause all")
        self.all_button.setVisible(len(status.open) > 1)
        if self.all_button.text() != text:
            self.all_button.setText(text)
            self.all_button.setAccessibleName(text)

    def _arrange(self, shown: tuple[DownloadProgress, ...]) -> None:
        """Rows as they are to stand; those that stay are only moved, so that the keyboard stays in them."""
        wanted = {one.id for one in shown}
        for download_id in [known for known in self._rows if known not in wanted]:
            self._drop(self._rows.pop(download_id))
        for place, progress in enumerate(shown):
            row = self._rows.get(progress.id)
            if row is None:
                row = self._rows[progress.id] = self._new_row(progress.id)
            if self._column.indexOf(row) != place:
                self._column.insertWidget(place, row)
                # Otherwise only the next turn of the event loop would, and its height be missing until then.
                row.show()

    def _new_row(self, download_id: str) -> DownloadRow:
        row = DownloadRow()
        for signal, asked in (
            (row.pause_asked, self.pause_asked),
            (row.resume_asked, self.resume_asked),
            (row.retry_asked, self.retry_asked),
            (row.cancel_asked, self.cancel_asked),
            (row.forget_asked, self.forget_asked),
        ):
            signal.connect(lambda ask=asked: ask.emit(download_id))
        row.move_asked.connect(lambda step: self._ask_to_move(download_id, step))
        row.show_asked.connect(lambda: self.show_asked.emit(row.progress))
        return row

    def _drop(self, row: DownloadRow) -> None:
        self._column.removeWidget(row)
        # The keyboard would otherwise go to whatever button comes next in the window.
        if row.isAncestorOf(QApplication.focusWidget() or self):
            self._scroll.setFocus()
        row.hide()
        row.deleteLater()

    def _ask_to_move(self, download_id: str, step: int) -> None:
        """Past the next one that is not over, whatever else stands between."""
        over = (DownloadState.DONE, DownloadState.FAILED)
        places = [place for place, one in enumerate(self._shown) if one.state not in over]
        ids = [self._shown[place].id for place in places]
        at = ids.index(download_id) + step if download_id in ids else -1
        if 0 <= at < len(places):
            self.move_asked.emit(download_id, places[at])

    def _ask_all(self) -> None:
        self.resume_all_asked.emit() if self._all_stopped else self.pause_all_asked.emit()

    def _fold(self, folded: bool) -> None:
        name = self.tr("Show the downloads") if folded else self.tr("Hide the downloads")
        self.fold_button.setIcon(icon("chevron-up" if folded else "chevron-down", role=IconRole.MUTED))
        self.fold_button.setAccessibleName(name)
        self.fold_button.setToolTip(name)
        self._fit()

    def _tell_time(self) -> None:
        for row in self._rows.values():
            row.tell_time()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if any(one.state is DownloadState.WAITING for one in self._shown):
            self._clock.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._clock.stop()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def leave_room_in(self, height: int) -> None:
        """Take no more than a part of a page so high; the rows scroll then."""
        self._most_high = min(_MOST_HIGH, height // _PART)
        self._fit()

    def _fit(self) -> None:
        """As high as its rows, up to a limit."""
        self.setVisible(bool(self._rows))
        self._scroll.setVisible(not self.fold_button.isChecked())
        self._scroll.setFixedHeight(min(self._body.sizeHint().height(), self._most_high))
