"""Small pictures in a row: in the composer with a button to remove each, in the transcript to be opened."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QGuiApplication, QImage, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from app.gui.chat.pictures import AttachedPicture, thumbnail
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme

__all__ = ["PictureDialog", "Thumbnail", "ThumbnailStrip"]

_STRIP = 64


class Thumbnail(QWidget):
    """One picture with round corners. `opened` when it is clicked, or Enter pressed on it."""

    opened = Signal()

    def __init__(self, most: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most = most
        self._pixmap = QPixmap()
        self.setFixedSize(most, most)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(self.tr("Picture"))
        self.setToolTip(self.tr("Show the picture"))

    @property
    def most_px(self) -> int:
        """How many pixels of the screen its longer side can fill."""
        return round(self._most * self.devicePixelRatioF())

    def show_picture(self, picture: bytes | QImage) -> None:
        """Show a picture; an image that was made small on another thread costs nothing here."""
        self._pixmap = thumbnail(picture, self._most, self.devicePixelRatioF())
        if not self._pixmap.isNull():
            self.setFixedSize(self._pixmap.deviceIndependentSize().toSize())
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme = Theme.current()
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme.RADIUS, theme.RADIUS)
        painter.fillPath(shape, theme.sunken)
        painter.setClipPath(shape)
        if not self._pixmap.isNull():
            painter.drawPixmap(QPoint(0, 0), self._pixmap)
        painter.setClipping(False)
        painter.setPen(theme.accent if self.hasFocus() else theme.border)
        painter.drawPath(shape)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.opened.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.opened.emit()
        else:
            super().keyPressEvent(event)


class ThumbnailStrip(QWidget):
    """The pictures about to be sent. `removed` carries the place of one a person took away."""

    removed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(Theme.TIGHT, Theme.TIGHT, 0, 0)
        self._row.setSpacing(Theme.GAP)
        self._row.addStretch()
        self.hide()

    def show_pictures(self, pictures: Sequence[AttachedPicture]) -> None:
        while self._row.count() > 1:
            item = self._row.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        for index, attached in enumerate(pictures):
            self._row.insertWidget(index, self._item(index, attached))
        self.setVisible(bool(pictures))

    def _item(self, index: int, attached: AttachedPicture) -> QWidget:
        holder = QWidget()
        small = Thumbnail(_STRIP)
        small.show_picture(attached.small)
        small.opened.connect(lambda: PictureDialog(attached.picture.data, self).open())
        remove = QToolButton(holder)
        remove.setObjectName("remove")
        remove.setIcon(icon("close", role=IconRole.TEXT))
        remove.setAccessibleName(self.tr("Remove picture {0}").format(index + 1))
        remove.setToolTip(self.tr("Remove"))
        remove.setFixedSize(22, 22)
        remove.clicked.connect(lambda: self.removed.emit(index))
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(small)
        row.addWidget(remove, alignment=Qt.AlignmentFlag.AlignTop)
        return holder


class PictureDialog(QDialog):
    """A picture as large as the screen allows; Escape or a click closes it."""

    def __init__(self, data: bytes, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Picture"))
        screen = (parent.screen() or QGuiApplication.primaryScreen()).availableSize()
        self._label = QLabel()
        self._label.setAccessibleName(self.tr("Picture"))
        self._label.setPixmap(thumbnail(data, int(min(screen.width(), screen.height()) * 0.8), self.devicePixelRatioF()))
        column = QVBoxLayout(self)
        column.setContentsMargins(Theme.GAP, Theme.GAP, Theme.GAP, Theme.GAP)
        column.addWidget(self._label, alignment=Qt.AlignmentFlag.AlignCenter)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.accept()
