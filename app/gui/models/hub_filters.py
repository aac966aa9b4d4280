"""What narrows a search: kinds of models, size, licence, whether they fit; and in which order they come."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from app.domain.hub import HubQuery, HubSort
from app.domain.models import Capability
from app.gui.controls import button, filter_chip
from app.gui.figures import capability_text
from app.gui.flow import FlowLayout

__all__ = ["HubFilters", "MenuChoice"]

_BILLION = 1_000_000_000
_CAPABILITIES = (Capability.VISION, Capability.REASONING, Capability.TOOLS, Capability.EMBEDDING)
_FREE = frozenset({"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "unlicense"})
_LLAMA = frozenset({"llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4"})


class MenuChoice(QPushButton):
    """One of a few values, chosen from a menu; the first is where it rests. `changed` carries the value.

    One that narrows shows only its name while it does not.
    """

    changed = Signal(object)

    def __init__(self, name: str, choices: tuple[tuple[Any, str], ...], *, narrows: bool = True) -> None:
        super().__init__()
        self._name = name
        self._narrows = narrows
        self._default = choices[0][0]
        self._value = self._default
        self.setProperty("kind", "filter")
        menu = QMenu(self)
        group = QActionGroup(self)
        self._actions: dict[Any, QAction] = {}
        for value, text in choices:
            action = self._actions[value] = menu.addAction(text)
            action.setCheckable(True)
            group.addAction(action)
            action.triggered.connect(lambda _=False, value=value: self._choose(value))
        self.setMenu(menu)
        self.set_value(self._default)

    @property
    def value(self) -> Any:
        return self._value

    def set_value(self, value: Any) -> None:
        self._value = value
        action = self._actions[value]
        action.setChecked(True)
        text = f"{self._name}: {action.text()}"
        rests = self._narrows and value == self._default
        self.setText(f"{self._name if rests else text}  ▾")
        self.setAccessibleName(text)
        self.setProperty("chosen", self._narrows and not rests)
        self.style().polish(self)

    def _choose(self, value: Any) -> None:
        if value != self._value:
            self.set_value(value)
            self.changed.emit(value)


class HubFilters(QWidget):
    """`changed` says that another search is wanted."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sort = MenuChoice(
            self.tr("Order"),
            (
                (HubSort.TRENDING, self.tr("trending")),
                (HubSort.DOWNLOADS, self.tr("most downloaded")),
                (HubSort.LIKES, self.tr("most liked")),
                (HubSort.UPDATED, self.tr("last updated")),
                (HubSort.CREATED, self.tr("newest")),
            ),
            narrows=False,
        )
        self.chips = {capability: filter_chip(capability_text(capability)) for capability in _CAPABILITIES}
        self.fitting = filter_chip(self.tr("Fits this computer"))
        self.parameters = MenuChoice(self.tr("Size"), self._sizes())
        self.license = MenuChoice(
            self.tr("Licence"),
            (
                (frozenset(), self.tr("any")),
                (_FREE, self.tr("Apache, MIT and the like")),
                (frozenset({"apache-2.0"}), "Apache 2.0"),
                (frozenset({"mit"}), "MIT"),
                (frozenset({"gemma"}), "Gemma"),
                (_LLAMA, "Llama"),
            ),
        )
        self.clear_button = button(self.tr("Clear filters"), "close", kind="quiet")
        flow = FlowLayout(self, gap=6)
        for made in (self.fitting, *self.chips.values()):
            made.toggled.connect(lambda _: self._tell())
            flow.addWidget(made)
        for choice in (self.parameters, self.license, self.sort):
            choice.changed.connect(lambda _: self._tell())
            flow.addWidget(choice)
        flow.addWidget(self.clear_button)
        self.clear_button.clicked.connect(self.clear)
        self.clear_button.hide()

    @property
    def only_fitting(self) -> bool:
        return self.fitting.isChecked()

    @property
    def are_set(self) -> bool:
        """Whether anything is narrowed; the order does not narrow."""
        return bool(self.only_fitting or self.capabilities or self.parameters.value != (0, 0) or self.license.value)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset(capability for capability, chip in self.chips.items() if chip.isChecked())

    def query(self, text: str) -> HubQuery:
        least, most = self.parameters.value
        return HubQuery(
            text=text,
            sort=self.sort.value,
            capabilities=self.capabilities,
            licenses=self.license.value,
            least_parameters=least,
            most_parameters=most,
        )

    def clear(self) -> None:
        """Leave the order as it is."""
        for chip in (self.fitting, *self.chips.values()):
            with QSignalBlocker(chip):
                chip.setChecked(False)
        self.parameters.set_value((0, 0))
        self.license.set_value(frozenset())
        # The button is about to vanish, and the keyboard with it.
        self.fitting.setFocus()
        self._tell()

    def _tell(self) -> None:
        self.clear_button.setVisible(self.are_set)
        self.changed.emit()

    def _sizes(self) -> tuple[tuple[tuple[int, int], str], ...]:
        between = self.tr("{0} to {1} billion parameters")
        bounds = ((2, 5), (5, 10), (10, 20), (20, 40))
        return (
            ((0, 0), self.tr("any")),
            ((0, 2 * _BILLION), self.tr("up to 2 billion parameters")),
            *(((least * _BILLION, most * _BILLION), between.format(least, most)) for least, most in bounds),
            ((40 * _BILLION, 0), self.tr("over 40 billion parameters")),
        )
