"""Where a person writes: text, pictures, Send and Stop."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QSize, QStandardPaths, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QImage, QInputMethodEvent, QKeyEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from app.chats import NewPicture
from app.domain.errors import InvalidRequest
from app.gui.chat.pictures import AttachedPicture, attach
from app.gui.chat.thumbnails import ThumbnailStrip
from app.gui.controls import label
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme

__all__ = ["Composer"]

_MOST_LINES = 9
_MOST_PICTURES = 10
_BUTTON = 36


class Composer(QFrame):
    """Emits `submitted(text, pictures)` and empties itself; `stop_wanted` while an answer is being written.

    `thinking_wanted(on)` when a person presses Think, which is there only for a model that can.
    `picture_offered` carries a Path or QImage that a person chose, pasted or dropped. Reading it can take seconds, so whoever
    listens does that on another thread, and ends with `add_picture` or `refuse_picture`; nothing is sent until then.
    """

    submitted = Signal(str, object)
    stop_wanted = Signal()
    thinking_wanted = Signal(bool)
    picture_offered = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("composer")
        self._pictures: list[AttachedPicture] = []
        self._n_reading = 0
        self._said = ""
        self._folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        self._answering = False
        self._model_sees = True
        self._model_name = ""
        self.setAcceptDrops(True)

        self._strip = ThumbnailStrip()
        self._strip.removed.connect(self.remove_picture)
        self._edit = _MessageEdit()
        self._edit.setAccessibleName(self.tr("Message"))
        self._edit.setPlaceholderText(self.tr("Write a message…"))
        self._edit.send_wanted.connect(self.send)
        self._edit.attach_wanted.connect(self._attach_from)
        self._edit.textChanged.connect(lambda: self.say(""))
        self._attach = QToolButton()
        self._attach.setProperty("kind", "quiet")
        self._attach.setIcon(icon("image", role=IconRole.MUTED))
        self._attach.setFixedSize(_BUTTON, _BUTTON)
        self._attach.setAccessibleName(self.tr("Attach a picture"))
        self._attach.setToolTip(self.tr("Attach a picture (or paste one, or drop it here)"))
        self._attach.clicked.connect(self.choose_pictures)
        self._think = QToolButton()
        self._think.setObjectName("think")
        self._think.setProperty("kind", "quiet")
        self._think.setCheckable(True)
        self._think.setText(self.tr("Think"))
        self._think.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._think.setFixedHeight(_BUTTON)
        self._think.setToolTip(self.tr("Whether the model thinks before it answers"))
        self._think.toggled.connect(self._colour_thinking)
        self._think.clicked.connect(self.thinking_wanted)
        self._note = label(wrap=True)
        self._note.setObjectName("note")
        self._button = QToolButton()
        self._button.setProperty("kind", "primary")
        self._button.setFixedSize(_BUTTON, _BUTTON)
        self._button.setIconSize(QSize(Theme.ICON, Theme.ICON))
        self._button.clicked.connect(self._pressed)
        self.setFocusProxy(self._edit)
        self._lay_out()
        self._refresh()
        self.set_thinking(None)

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.setSpacing(Theme.GAP)
        foot.addWidget(self._attach)
        foot.addWidget(self._think)
        foot.addWidget(self._note, stretch=1)
        foot.addWidget(self._button)
        column = QVBoxLayout(self)
        column.setContentsMargins(Theme.GAP, Theme.GAP, Theme.GAP, Theme.GAP)
        column.setSpacing(Theme.TIGHT)
        column.addWidget(self._strip)
        column.addWidget(self._edit)
        column.addLayout(foot)

    # --------------------------------------------------------------------------------------------------- what it holds
    @property
    def text(self) -> str:
        return self._edit.toPlainText()

    @property
    def pictures(self) -> tuple[NewPicture, ...]:
        return tuple(attached.picture for attached in self._pictures)

    @property
    def note(self) -> str:
        """The sentence below the text, "" if there is none."""
        return self._note.text()

    def set_text(self, text: str) -> None:
        self._edit.setPlainText(text)
        self._edit.moveCursor(self._edit.textCursor().MoveOperation.End)

    def attach_image(self, source: Path | bytes, name: str = "") -> bool:
        """Add a small picture now; say what is wrong with one that can't be used, and return False."""
        try:
            attached = attach(source, name)
        except InvalidRequest as error:
            self.say(error.message)
            return False
        return self._add(attached)

    def offer_picture(self, source: Path | QImage) -> None:
        """Have a picture read, whatever its size."""
        self._n_reading += 1
        self._refresh()
        self.picture_offered.emit(source)

    def add_picture(self, attached: AttachedPicture) -> None:
        """A picture that was offered is ready."""
        self._n_reading -= 1
        self._add(attached)

    def refuse_picture(self, words: str) -> None:
        """A picture that was offered can't be used."""
        self._n_reading -= 1
        self.say(words)

    def _add(self, attached: AttachedPicture) -> bool:
        if len(self._pictures) >= _MOST_PICTURES:
            self.say(self.tr("A message can hold {0} pictures.").format(_MOST_PICTURES))
            return False
        self._pictures.append(attached)
        self._show_pictures()
        return True

    def remove_picture(self, index: int) -> None:
        del self._pictures[index]
        self._said = ""
        self._show_pictures()
        self._edit.setFocus()

    def choose_pictures(self) -> None:
        """Ask for picture files."""
        kinds = self.tr("Pictures") + " (*.png *.jpg *.jpeg *.webp *.gif *.bmp *.tif *.tiff)"
        names, _ = QFileDialog.getOpenFileNames(self, self.tr("Attach pictures"), self._folder, kinds)
        self.say("")
        for name in names:
            self._folder = str(Path(name).parent)
            self.offer_picture(Path(name))

    def restore(self, text: str, pictures: tuple[NewPicture, ...]) -> None:
        """Put back what could not be sent, unless the person has gone on writing."""
        if not self.text and not self._pictures:
            self.set_text(text)
            self._pictures = [AttachedPicture.of(picture) for picture in pictures]
            self._show_pictures()

    # --------------------------------------------------------------------------------------------------- what it shows
    def set_answering(self, answering: bool) -> None:
        """Send, or Stop."""
        self._answering = answering
        self._refresh()

    def set_model(self, name: str, *, sees_pictures: bool) -> None:
        self._model_name, self._model_sees = name, sees_pictures
        self._refresh()

    def set_thinking(self, on: bool | None) -> None:
        """Whether the model thinks before it answers; None for one that can't."""
        self._think.setVisible(on is not None)
        self._think.setChecked(bool(on))
        self._colour_thinking(bool(on))

    def say(self, words: str) -> None:
        """Show a sentence until the person goes on."""
        self._said = words
        self._refresh()

    def send(self) -> None:
        """As pressing Enter: nothing happens while there is nothing to send or an answer is being written."""
        if self._answering or not self._can_send():
            return
        text, pictures = self.text, self.pictures
        self._pictures = []
        self._edit.clear()
        self._show_pictures()
        self.submitted.emit(text, pictures)

    # ------------------------------------------------------------------------------------------------------- private
    def _pressed(self) -> None:
        if self._answering:
            self.stop_wanted.emit()
        else:
            self.send()

    def _colour_thinking(self, on: bool) -> None:
        self._think.setIcon(icon("think", role=IconRole.ACCENT if on else IconRole.MUTED))

    def _can_send(self) -> bool:
        blind = bool(self._pictures) and not self._model_sees
        return (bool(self.text.strip()) or bool(self._pictures)) and not blind and not self._n_reading

    def _show_pictures(self) -> None:
        self._strip.show_pictures(self._pictures)
        self._refresh()

    def _refresh(self) -> None:
        blind = bool(self._pictures) and not self._model_sees
        words = self.tr("{0} can't see pictures. Choose a model that sees pictures, or remove the picture.")
        reading = self.tr("Reading the picture…") if self._n_reading else ""
        self._note.setText(words.format(self._model_name) if blind else self._said or reading)
        name = self.tr("Stop") if self._answering else self.tr("Send")
        self._button.setIcon(icon("stop" if self._answering else "send", role=IconRole.ON_ACCENT))
        self._button.setAccessibleName(name)
        self._button.setToolTip(name + (" (Esc)" if self._answering else " (Enter)"))
        self._button.setEnabled(self._answering or self._can_send())

    def _attach_from(self, mime: QMimeData) -> None:
        image = mime.imageData() if mime.hasImage() else None
        paths = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
        self.say("")
        if paths:
            for path in paths:
                self.offer_picture(path)
        elif isinstance(image, QImage):
            self.offer_picture(image)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _holds_pictures(event.mimeData()):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if _holds_pictures(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        self._attach_from(event.mimeData())
        # Whatever was proposed: a file that was moved would be deleted where it came from.
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        self._edit.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._answering:
            self.stop_wanted.emit()
        else:
            super().keyPressEvent(event)


class _MessageEdit(QPlainTextEdit):
    """Grows with its text. Enter sends, Shift+Enter breaks the line, and neither while an input method composes."""

    send_wanted = Signal()
    attach_wanted = Signal(QMimeData)

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(Theme.TIGHT)
        self._composing = False
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not self._composing and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.send_wanted.emit()
        elif event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        self._composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return _holds_pictures(source) or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        if _holds_pictures(source):
            self.attach_wanted.emit(source)
        else:
            super().insertFromMimeData(source)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        # A plain text document measures itself in lines.
        lines = min(max(1, round(self.document().documentLayout().documentSize().height())), _MOST_LINES)
        height = lines * self.fontMetrics().lineSpacing() + 2 * int(self.document().documentMargin()) + 4
        self.setFixedHeight(height)
        self.setVerticalScrollBarPolicy(
            Qt.ScrollBarPolicy.ScrollBarAsNeeded if lines == _MOST_LINES else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )


def _holds_pictures(mime: QMimeData) -> bool:
    """A bitmap, or files. Text copied from an office program often brings a bitmap of itself: then the text counts."""
    files = any(url.isLocalFile() for url in mime.urls())
    return files or (mime.hasImage() and not mime.hasText())
