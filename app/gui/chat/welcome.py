"""What an empty conversation shows: who answers here, and a few things to try."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPainter, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.domain.models import Capability, InstalledModel, ModelSource
from app.gui.controls import label
from app.gui.icons import program_icon
from app.gui.theme import Theme
from app.paths import resource

__all__ = ["Example", "Welcome"]


_WORDS_WIDTH = 480
_CARD_WIDTH = 264
_TWO_COLUMNS = 540
_BAR_PX = 10  # as the style sheet says


@dataclass(frozen=True, slots=True)
class Example:
    """A first message to try; `picture` is a file to ask about."""

    text: str
    picture: Path | None = None


class Welcome(QScrollArea):
    """`tried` carries the Example a person clicked."""

    tried = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        body = QWidget()
        body.setProperty("role", "page")
        self.setWidget(body)
        self._cards: list[QPushButton] = []
        flame = QLabel()
        flame.setPixmap(program_icon().pixmap(QSize(72, 72)))
        self._title = label(role="title")
        self._words = label(role="muted", wrap=True)
        self._words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._words.setFixedWidth(_WORDS_WIDTH)
        self._grid = QGridLayout()
        self._grid.setSpacing(Theme.PAD)
        column = QVBoxLayout(body)
        column.setContentsMargins(Theme.WIDE, Theme.WIDE, Theme.WIDE, Theme.WIDE)
        column.setSpacing(Theme.PAD)
        column.addStretch(2)
        centre = Qt.AlignmentFlag.AlignHCenter
        column.addWidget(flame, alignment=centre)
        column.addWidget(self._title, alignment=centre)
        column.addWidget(self._words)
        column.setAlignment(self._words, centre)
        column.addSpacing(Theme.ROOM)
        cards = QHBoxLayout()
        cards.addStretch(1)
        cards.addLayout(self._grid, 1000)
        cards.addStretch(1)
        column.addLayout(cards)
        column.addStretch(3)
        self.show_model(None)

    def show_model(self, model: InstalledModel | None) -> None:
        """Greet in the name of the chosen model, with examples it can answer."""
        if model is not None and model.source is ModelSource.BUILT_IN:
            self._title.setText(self.tr("Hello, I am {0}").format(model.name))
            self._words.setText(
                self.tr(
                    "A tiny model that is built into Hearth: ready at once, offline, and good for small talk, small sums and "
                    "simple pictures. For real work, choose a larger model on the Models page."
                )
            )
        else:
            self._title.setText(model.name if model is not None else self.tr("Welcome to Hearth"))
            self._words.setText(self.tr("Everything you write stays on this computer. Ask anything, or try one of these."))
        self._fit_words()
        sees = model is not None and model.can(Capability.VISION)
        self._show_examples(self._examples(built_in=model is None or model.source is ModelSource.BUILT_IN, sees=sees))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_words()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._words.setFixedWidth(min(_WORDS_WIDTH, self.width() - 2 * Theme.WIDE - _BAR_PX))
        self._fit_words()
        self._arrange()

    def _fit_words(self) -> None:
        # A wrapped label between stretches is given too little height otherwise.
        self._words.setFixedHeight(self._words.heightForWidth(self._words.width()))

    def _examples(self, *, built_in: bool, sees: bool) -> list[Example]:
        pictures = [
            Example(self.tr("What is in this picture?"), resource("examples", "red-circle.png")),
            Example(self.tr("What colour is the star?"), resource("examples", "yellow-star.png")),
        ]
        small = [Example(self.tr("What can you do?")), Example(self.tr("What is 7 times 8?"))]
        large = [
            Example(self.tr("Explain how a rainbow forms, in three sentences.")),
            Example(self.tr("Write a Python function that reverses a string.")),
            Example(self.tr("Plan a simple dinner for four.")),
            Example(self.tr("Give me five ideas for a rainy afternoon.")),
        ]
        words = small if built_in else large
        return [*(pictures if sees else []), *words][:4]

    def _show_examples(self, examples: list[Example]) -> None:
        for card in self._cards:
            self._grid.removeWidget(card)
            card.setParent(None)
            card.deleteLater()
        self._cards = [self._card(example) for example in examples]
        self._arrange()

    def _arrange(self) -> None:
        """Two columns, or one where they would be too narrow to read."""
        columns = 2 if self.width() >= _TWO_COLUMNS else 1
        for index, card in enumerate(self._cards):
            self._grid.addWidget(card, index // columns, index % columns)

    def _card(self, example: Example) -> QPushButton:
        card = QPushButton(example.text)
        card.setObjectName("example")
        card.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        card.setFixedHeight(60)
        card.setMaximumWidth(_CARD_WIDTH)
        card.setCursor(Qt.CursorShape.PointingHandCursor)
        if example.picture is not None:
            card.setIcon(QIcon(_with_margin(example.picture)))
            card.setIconSize(QSize(48, 40))
        card.clicked.connect(lambda: self.tried.emit(example))
        return card


def _with_margin(file: Path) -> QPixmap:
    """A small picture with some room at its right, which a button leaves none of."""
    picture = QPixmap(str(file)).scaledToHeight(80, Qt.TransformationMode.SmoothTransformation)
    canvas = QPixmap(96, 80)
    canvas.fill(Qt.GlobalColor.transparent)
    painter = QPainter(canvas)
    painter.drawPixmap(0, 0, picture)
    painter.end()
    return canvas
