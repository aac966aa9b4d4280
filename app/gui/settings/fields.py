"""One setting: its name, where it is typed, what it means, and what is wrong with what was typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.domain.endpoints import hub_endpoint, proxy_address
from app.gui.controls import Switch, button, label
from app.gui.theme import Theme

__all__ = [
    "ChoiceField",
    "SwitchField",
    "TextField",
    "automatic_number",
    "gpu_layers",
    "hub_address",
    "minutes",
    "proxy",
    "speed_limit",
    "whole_number",
]

_FIELD_WIDTH = 220
_LEAST_FIELD_WIDTH = 110
_MOST_MB_S = 100_000


class TextField(QWidget):
    """A line to type a value into. `changed` carries the value once it is committed and right.

    `parse` turns text into a value, or raises ValueError with a sentence; `show` turns a value into text.
    """

    changed = Signal(object)

    def __init__(
        self,
        name: str,
        *,
        parse: Callable[[str], Any],
        show: Callable[[Any], str] = str,
        hint: str = "",
        placeholder: str = "",
        wide: bool = False,
    ) -> None:
        super().__init__()
        self._parse = parse
        self._show = show
        self._value: Any = None
        self.edit = QLineEdit(placeholderText=placeholder)
        self.edit.setAccessibleName(name)
        self.edit.setAccessibleDescription(hint)
        if not wide:
            self.edit.setMinimumWidth(_LEAST_FIELD_WIDTH)
            self.edit.setMaximumWidth(_FIELD_WIDTH)
        self._error = label(role="error", wrap=True)
        self._error.hide()
        title = label(name, wrap=True)
        title.setBuddy(self.edit)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(Theme.ROOM)
        grid.setVerticalSpacing(2)
        for cell in (0, 1):
            grid.setColumnStretch(cell, 1)
        grid.addWidget(title, 0, 0)
        grid.addWidget(self.edit, *((1, 0, 1, 2) if wide else (0, 1)))
        grid.addWidget(label(hint, "caption", wrap=True), 2, 0, 1, 2)
        grid.addWidget(self._error, 3, 0, 1, 2)
        self.edit.editingFinished.connect(self._commit)
        self.edit.textEdited.connect(self._look)

    @property
    def error(self) -> str:
        """What is wrong with what was typed; "" if nothing is."""
        return "" if self._error.isHidden() else self._error.text()

    def set_value(self, value: Any) -> None:
        """Show a value, unless the person is just typing another."""
        self._value = value
        if not (self.edit.hasFocus() and self.edit.isModified()):
            self.edit.setText(self._show(value))
            self.tell("")

    def tell(self, error: str) -> None:
        """Show what is wrong at the field."""
        self._error.setText(error)
        self._error.setVisible(bool(error))
        self.edit.setProperty("invalid", bool(error))
        self.edit.style().polish(self.edit)

    def _look(self, text: str) -> None:
        """An error goes away as soon as it is mended, and does not appear while somebody still types."""
        if self.error:
            try:
                self._parse(text)
            except ValueError:
                return
            self.tell("")

    def _commit(self) -> None:
        try:
            value = self._parse(self.edit.text().strip())
        except ValueError as error:
            self.tell(str(error))
            return
        self.tell("")
        self.edit.setModified(False)
        if value != self._value:
            self._value = value
            self.changed.emit(value)


class ChoiceField(QWidget):
    """A few choices side by side, one of them taken. `changed` carries the value of the one a person picks."""

    changed = Signal(object)

    def __init__(self, name: str, choices: tuple[tuple[Any, str, str], ...]) -> None:
        """Each choice is (value, text, icon)."""
        super().__init__()
        self._values = [value for value, _, _ in choices]
        self._group = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        column.addWidget(label(name, wrap=True))
        column.addLayout(row)
        for index, (_, text, icon_name) in enumerate(choices):
            made = button(text, icon_name, kind="segment", name=f"{name}: {text}")
            made.setCheckable(True)
            made.setProperty("place", "first" if index == 0 else "last" if index == len(choices) - 1 else "middle")
            self._group.addButton(made, index)
            row.addWidget(made)
        row.addStretch()
        self._group.idClicked.connect(lambda index: self.changed.emit(self._values[index]))

    @property
    def value(self) -> Any:
        return self._values[self._group.checkedId()] if self._group.checkedId() >= 0 else None

    def set_value(self, value: Any) -> None:
        self._group.button(self._values.index(value)).setChecked(True)


class SwitchField(QWidget):
    """On or off. `changed` carries which, once a person has moved it."""

    changed = Signal(object)

    def __init__(self, name: str, hint: str = "") -> None:
        super().__init__()
        self.switch = Switch(name)
        self.switch.setAccessibleDescription(hint)
        row = QHBoxLayout()
        row.addWidget(label(name, wrap=True), 1)
        row.addWidget(self.switch)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        if hint:
            column.addWidget(label(hint, "caption", wrap=True))
        self.switch.clicked.connect(lambda on: self.changed.emit(on))

    def set_value(self, value: bool) -> None:
        self.switch.setChecked(value)


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A parser for a number within limits."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(_tr("Enter a whole number from {0} to {1}.").format(least, most))
        return int(text)

    return parse


def automatic_number(least: int, most: int) -> Callable[[str], int]:
    """A parser for a number, or for nothing, which means that the program chooses and is kept as 0."""

    def parse(text: str) -> int:
        if not text:
            return 0
        if not text.isascii() or not text.isdigit() or not (int(text) == 0 or least <= int(text) <= most):
            raise ValueError(_tr("Enter a whole number from {0} to {1}, or nothing.").format(least, most))
        return int(text)

    return parse


def minutes(text: str) -> float:
    """A parser for a time in minutes, kept in seconds; nothing means for ever, which is kept as -1."""
    if not text:
        return -1.0
    if not text.isascii() or not text.isdigit() or int(text) > 100_000:
        raise ValueError(_tr("Enter whole minutes from 0 to 100000, or nothing."))
    return int(text) * 60.0


def gpu_layers(text: str) -> str | int:
    """A parser for the layers to offload."""
    if not text or text.casefold() == "auto":
        return "auto"
    if not text.isascii() or not text.isdigit() or int(text) > 999:
        raise ValueError(_tr("Enter a whole number from 0 to 999, or nothing."))
    return int(text)


def hub_address(text: str) -> str:
    """A parser for the address of a hub."""
    try:
        return hub_endpoint(text)
    except ValueError as error:
        raise ValueError(_tr("Enter an address that begins with https://, such as https://huggingface.co.")) from error


def proxy(text: str) -> str:
    """A parser for the address of a proxy; nothing means the system's."""
    try:
        return proxy_address(text)
    except ValueError as error:
        raise ValueError(_tr("Enter an address such as http://proxy.example.org:8080 or socks5://…, or nothing.")) from error


def speed_limit(text: str) -> float:
    """A parser for megabytes a second; nothing means no limit, which is kept as 0."""
    try:
        limit = float(text.replace(",", ".")) if text else 0.0
    except ValueError:
        limit = -1.0
    if not 0 <= limit <= _MOST_MB_S:
        raise ValueError(_tr("Enter megabytes a second, such as 2.5, or nothing."))
    return limit


def _tr(text: str) -> str:
    return QCoreApplication.translate("fields", text)
