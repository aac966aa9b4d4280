"""One download: how far it is, what is in its way, and what can be done about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QToolButton, QVBoxLayout, QWidget

from app.domain.models import DownloadProgress, DownloadState
from app.gui.controls import ElidedLabel, button, label, tool_button
from app.gui.figures import duration_text, size_text, speed_text
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = ["DownloadRow"]

_OVER = (DownloadState.DONE, DownloadState.CANCELLED, DownloadState.FAILED)
_MOVING = (DownloadState.RUNNING, DownloadState.VERIFYING)


class DownloadRow(QWidget):
    """Shows what it is given and says what a person asked for. `move_asked` carries -1 for up and 1 for down."""

    pause_asked = Signal()
    resume_asked = Signal()
    retry_asked = Signal()
    cancel_asked = Signal()
    forget_asked = Signal()
    show_asked = Signal()
    move_asked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._progress: DownloadProgress | None = None
        self._role = ""
        self._can_rise = self._can_sink = False
        self._name = ElidedLabel(fills=False)
        self._repository = ElidedLabel(role="caption")
        self._bar = QProgressBar(textVisible=False, maximum=1000)
        self._text = label(role="caption", wrap=True)
        self.show_button = button(self.tr("Show"), name=self.tr("Show the model in the list"))
        self.up_button = tool_button("chevron-up", self.tr("Move up"))
        self.down_button = tool_button("chevron-down", self.tr("Move down"))
        # One button for pause, resume and another try, so that the keyboard stays where it is.
        self.go_button = tool_button("pause", self.tr("Pause"))
        self.end_button = tool_button("close", self.tr("Cancel"))
        self._drawing = "pause"
        self._lay_out()
        self.show_button.clicked.connect(lambda: self.show_asked.emit())
        self.up_button.clicked.connect(lambda: self.move_asked.emit(-1))
        self.down_button.clicked.connect(lambda: self.move_asked.emit(1))
        self.go_button.clicked.connect(self._go)
        self.end_button.clicked.connect(self._end)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(Theme.TIGHT)
        top.addWidget(self._name)
        top.addSpacing(Theme.TIGHT)
        top.addWidget(self._repository, 1)
        for made in (self.show_button, self.up_button, self.down_button, self.go_button, self.end_button):
            top.addWidget(made)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, Theme.TIGHT, 0, Theme.TIGHT)
        column.setSpacing(3)
        column.addLayout(top)
        column.addWidget(self._bar)
        column.addWidget(self._text)

    @property
    def progress(self) -> DownloadProgress | None:
        return self._progress

    def show_progress(self, progress: DownloadProgress) -> None:
        if progress == self._progress:
            return
        before, self._progress = self._progress, progress
        if before is None or before.state is not progress.state:
            self._show_state(progress)
        self._bar.setValue(round(1000 * progress.done_bytes / progress.total_bytes) if progress.total_bytes else 0)
        self.tell_time()

    def _show_state(self, progress: DownloadProgress) -> None:
        name = PurePosixPath(progress.label).stem
        self._name.set_full_text(name)
        self._repository.set_full_text(progress.repository)
        self._bar.setVisible(progress.state not in _OVER)
        self._bar.setAccessibleName(self.tr("Download of {0}").format(name))
        self._bar.setEnabled(progress.state in _MOVING)
        self.show_button.setVisible(progress.state is DownloadState.DONE)
        self.show_button.setAccessibleName(self.tr("Show {0} in the list of models").format(name))
        self._show_ways(progress, name)

    def show_place(self, *, can_rise: bool, can_sink: bool) -> None:
        """Whether there is anything above it, or below, that it could change places with."""
        if (can_rise, can_sink) != (self._can_rise, self._can_sink):
            self._can_rise, self._can_sink = can_rise, can_sink
            for made, can in ((self.up_button, can_rise), (self.down_button, can_sink)):
                made.setEnabled(can)
                made.setVisible(can_rise or can_sink)

    def tell_time(self) -> None:
        """Say again what depends on the time."""
        progress = self._progress
        if progress is None:
            return
        self._text.setText(self._words(progress))
        wrong = progress.state is DownloadState.FAILED or (progress.state is DownloadState.PAUSED and progress.error)
        role = "error" if wrong else "caption"
        if role != self._role:
            self._role = role
            self._text.setProperty("role", role)
            self._text.style().polish(self._text)

    def _show_ways(self, progress: DownloadProgress, name: str) -> None:
        ways = {
            DownloadState.PAUSED: ("play", self.tr("Go on with {0}")),
            DownloadState.WAITING: ("refresh", self.tr("Try {0} again now")),
            DownloadState.FAILED: ("refresh", self.tr("Try {0} again")),
        }
        drawing, what = ways.get(progress.state, ("pause", self.tr("Pause {0}")))
        if drawing != self._drawing:
            self._drawing = drawing
            self.go_button.setIcon(icon(drawing, role=IconRole.MUTED))
        _name(self.go_button, what.format(name))
        self.go_button.setVisible(progress.state is not DownloadState.DONE)
        over = progress.state in _OVER
        _name(self.end_button, (self.tr("Take {0} off this list") if over else self.tr("Cancel {0}")).format(name))
        for made, what in ((self.up_button, self.tr("Move {0} up")), (self.down_button, self.tr("Move {0} down"))):
            made.setAccessibleName(what.format(name))
            made.setVisible(self._can_rise or self._can_sink)

    def _go(self) -> None:
        match self._progress.state if self._progress is not None else None:
            case DownloadState.FAILED:
                self.retry_asked.emit()
            case DownloadState.PAUSED | DownloadState.WAITING:
                self.resume_asked.emit()
            case _:
                self.pause_asked.emit()

    def _end(self) -> None:
        over = self._progress is not None and self._progress.state in _OVER
        self.forget_asked.emit() if over else self.cancel_asked.emit()

    def _words(self, progress: DownloadProgress) -> str:
        so_far = self.tr("{0} of {1}").format(size_text(progress.done_bytes), size_text(progress.total_bytes))
        match progress.state:
            case DownloadState.QUEUED:
                return f"{self.tr('Waiting for its turn')}  ·  {so_far}"
            case DownloadState.VERIFYING:
                return self.tr("Checking that everything arrived unharmed")
            case DownloadState.DONE:
                return self.tr("Done, {0}. The model is in your list.").format(size_text(progress.total_bytes))
            case DownloadState.CANCELLED:
                return self.tr("Cancelled")
            case DownloadState.FAILED:
                return progress.error or self.tr("The download failed.")
            case DownloadState.WAITING:
                return self._waiting(progress)
            case DownloadState.PAUSED:
                return f"{progress.error or self.tr('Paused')}  ·  {so_far}"
            case DownloadState.RUNNING:
                return self._pace(progress, so_far)

    def _waiting(self, progress: DownloadProgress) -> str:
        words = progress.error or self.tr("Waiting for another try.")
        if progress.retry_at is None:
            return words
        seconds = max(0, round((progress.retry_at - datetime.now(UTC)).total_seconds()))
        if not seconds:
            return self.tr("{0} Trying again…").format(words)
        return self.tr("{0} Next try in {1}.").format(
            words, duration_text(max(10, seconds)) if seconds >= 10 else f"{seconds} s"
        )

    def _pace(self, progress: DownloadProgress, so_far: str) -> str:
        words = [so_far]
        if progress.bytes_per_s:
            words.append(speed_text(progress.bytes_per_s))
        if progress.eta_s is not None:
            words.append(self.tr("{0} left").format(duration_text(max(1, round(progress.eta_s)))))
        return "  ·  ".join(words)


def _name(made: QToolButton, name: str) -> None:
    if made.accessibleName() != name:
        made.setAccessibleName(name)
        made.setToolTip(plain_tooltip(name))
