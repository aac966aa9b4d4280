"""Where the values of a model's settings are typed and chosen."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QPlainTextEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.gui.controls import ElidedLabel, button, clear, tool_button
from app.gui.desktop import Desktop
from app.gui.icons import IconRole, icon
from app.gui.models.profile_values import Choice, Notation, Number, choice_text
from app.gui.theme import Theme
from app.settings import AdapterSettings

__all__ = ["EDITOR_WIDTH", "AdaptersEditor", "AnyEditor", "ChoiceEditor", "LineEditor", "LongEditor"]

EDITOR_WIDTH = 190
_LINES_HEIGHT = 78
_REST_MS = 800


class Editor(QWidget):
    """`changed` carries the value that a person set, None for what holds otherwise; `wrong` a sentence, "" once it is mended.

    Each kind shows with `show_value` what is set for the model, None if nothing is, and what would hold then.
    """

    changed = Signal(object)
    wrong = Signal(str)

    def __init__(self, control: QWidget) -> None:
        super().__init__()
        self._control = control
        self.setFocusProxy(control)

    def describe(self, text: str) -> None:
        """What a screen reader says besides the name."""
        self._control.setAccessibleDescription(text)


class LineEditor(Editor):
    """One line. Empty, it shows in grey what holds otherwise."""

    def __init__(self, name: str, notation: Notation, *, desktop: Desktop | None = None) -> None:
        """With a `desktop`, files can be looked for."""
        self.edit = QLineEdit()
        super().__init__(self.edit)
        self._name = name
        self._notation = notation
        self._desktop = desktop
        self._shown = ""
        self.edit.setAccessibleName(name)
        self.setFixedWidth(EDITOR_WIDTH)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(Theme.TIGHT)
        row.addWidget(self.edit)
        if desktop is not None:
            self.browse_button = tool_button("folder", self.tr("Look for a file: {0}").format(name))
            self.browse_button.clicked.connect(self._browse)
            row.addWidget(self.browse_button)
        self.edit.editingFinished.connect(self.flush)
        self.edit.textEdited.connect(self._look)

    def show_value(self, value: Any, otherwise: Any) -> None:
        self.edit.setPlaceholderText(self._notation.show(otherwise))
        shown = "" if value is None else self._notation.show(value)
        if self.edit.isModified() and self.edit.text().strip() != shown:
            # The person is just typing another.
            self._shown = shown
            return
        self._shown = shown
        self.edit.setText(shown)
        self.edit.setCursorPosition(0)
        self._tell("")

    def flush(self) -> None:
        """Take what was typed and not yet committed."""
        text = self.edit.text().strip()
        try:
            value = self._notation.parse(text) if text else None
        except ValueError as error:
            self._tell(str(error))
            return
        self._tell("")
        self.edit.setModified(False)
        if text != self._shown:
            self._shown = text
            self.changed.emit(value)

    def _look(self, text: str) -> None:
        """An error goes away as soon as it is mended, and does not appear while somebody still types."""
        if self.edit.property("invalid"):
            try:
                self._notation.parse(text.strip() or self._notation.show(None))
            except ValueError:
                return
            self._tell("")

    def _browse(self) -> None:
        assert self._desktop is not None
        file = self._desktop.any_file(self, title=self._name)
        if file is not None:
            self.edit.setText(str(file))
            self.flush()

    def _tell(self, error: str) -> None:
        if bool(self.edit.property("invalid")) != bool(error):
            self.edit.setProperty("invalid", bool(error))
            self.edit.style().polish(self.edit)
        self.wrong.emit(error)


class LongEditor(Editor):
    """Several lines. What was typed is taken when the person rests: leaving the field is not always noticed."""

    def __init__(self, name: str) -> None:
        self.edit = QPlainTextEdit()
        super().__init__(self.edit)
        self._shown = ""
        self.edit.setAccessibleName(name)
        self.edit.setTabChangesFocus(True)
        self.edit.setFixedHeight(_LINES_HEIGHT)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.edit)
        self._rest = QTimer(self, interval=_REST_MS, singleShot=True)
        self._rest.timeout.connect(self.flush)
        self.edit.textChanged.connect(self._rest.start)

    def show_value(self, value: Any, otherwise: Any) -> None:
        self.edit.setPlaceholderText(otherwise or "")
        if not self._rest.isActive() and self.edit.toPlainText() != (value or ""):
            self.edit.setPlainText(value or "")
            self._rest.stop()
        self._shown = value or ""

    def flush(self) -> None:
        """Take what was typed and not yet committed."""
        self._rest.stop()
        text = self.edit.toPlainText()
        if text.strip() != self._shown.strip():
            self._shown = text
            self.changed.emit(text if text.strip() else None)


class ChoiceEditor(Editor):
    """A button with the values in its menu, what holds otherwise first."""

    def __init__(self, name: str, choice: Choice) -> None:
        self.button = QToolButton()
        super().__init__(self.button)
        self._name = name
        self._choice = choice
        self.menu = QMenu(self)
        self.button.setFixedWidth(EDITOR_WIDTH)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.button.setMenu(self.menu)
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        # Turned, to have the arrow behind the text; the menu is not.
        self.menu.setLayoutDirection(self.layoutDirection())
        self.button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.button.setIcon(icon("chevron-down", role=IconRole.MUTED))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button)

    def show_value(self, value: Any, otherwise: Any) -> None:
        text = choice_text(self._choice, otherwise if value is None else value)
        self.button.setText(text)
        self.button.setAccessibleName(f"{self._name}: {text}")
        self.button.setProperty("unset", value is None)
        self.button.style().polish(self.button)
        self.menu.clear()
        group = QActionGroup(self.menu)
        unset = self.tr("Not set here ({0})").format(choice_text(self._choice, otherwise))
        for known, words in ((None, unset), *self._choice.choices):
            action = QAction(words, group, checkable=True, checked=known == value)
            action.triggered.connect(partial(self.changed.emit, known))
            self.menu.addAction(action)
            if known is None:
                self.menu.addSeparator()


class AdaptersEditor(Editor):
    """LoRA adapters, each with how strongly it is applied."""

    def __init__(self, name: str, desktop: Desktop) -> None:
        self.add_button = button(self.tr("Add an adapter…"), "plus")
        super().__init__(self.add_button)
        self._name = name
        self._desktop = desktop
        self._adapters: tuple[AdapterSettings, ...] = ()
        self._strength = Number(-100, 100, whole=False)
        self._column = QVBoxLayout()
        self._column.setSpacing(Theme.TIGHT)
        self.add_button.clicked.connect(self._add)
        bottom = QHBoxLayout()
        bottom.addWidget(self.add_button)
        bottom.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        column.addLayout(self._column)
        column.addLayout(bottom)

    def show_value(self, value: Any, otherwise: Any) -> None:
        self._adapters = otherwise if value is None else value
        clear(self._column)
        for index, adapter in enumerate(self._adapters):
            self._column.addWidget(self._row(index, adapter))

    def _row(self, index: int, adapter: AdapterSettings) -> QWidget:
        row = QWidget()
        strength = LineEditor(self.tr("Strength of {0}").format(adapter.path.name), self._strength)
        strength.setFixedWidth(70)
        strength.show_value(adapter.scale, 1.0)
        strength.changed.connect(
            lambda value: self._set(index, adapter.model_copy(update={"scale": 1.0 if value is None else value}))
        )
        strength.wrong.connect(self.wrong)
        remove = tool_button("close", self.tr("Take {0} off").format(adapter.path.name))
        remove.clicked.connect(lambda: self._set(index, None))
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        path = ElidedLabel(str(adapter.path))
        path.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        line.addWidget(path, 1)
        line.addWidget(strength)
        line.addWidget(remove)
        return row

    def _add(self) -> None:
        file = self._desktop.model_file(self, title=self._name, kind=self.tr("LoRA adapters"))
        if file is not None:
            self._emit((*self._adapters, AdapterSettings(path=Path(file))))

    def _set(self, index: int, adapter: AdapterSettings | None) -> None:
        put = () if adapter is None else (adapter,)
        self._emit((*self._adapters[:index], *put, *self._adapters[index + 1 :]))

    def _emit(self, adapters: tuple[AdapterSettings, ...]) -> None:
        self.changed.emit([adapter.model_dump(mode="json") for adapter in adapters])


AnyEditor: TypeAlias = LineEditor | LongEditor | ChoiceEditor | AdaptersEditor
