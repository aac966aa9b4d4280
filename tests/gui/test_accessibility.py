"""A walk over every control of the window: each can be named by a screen reader and reached by the keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.gui.application import Shell
from app.gui.sidebar import Page
from app.gui.theme import Mode, apply_theme
from app.service.loop import ServiceLoop
from app.service.services import Services
from tests.gui.stand_ins import StandInDesktop

_CONTROLS = (QAbstractButton, QLineEdit, QPlainTextEdit, QAbstractItemView, QProgressBar, QTabBar, QComboBox, QAbstractSpinBox)


@pytest.fixture
def shell(qapp: QApplication, services: Services, service: ServiceLoop, desktop: StandInDesktop) -> Iterator[Shell]:
    made = Shell(services, service, desktop=desktop)
    made.start(hidden=False)
    yield made
    made.close()


def _controls(root: QWidget) -> list[QWidget]:
    """Everything a person can work with, except what Qt builds into its own widgets."""
    return [
        widget
        for kind in _CONTROLS
        for widget in root.findChildren(kind)
        if not isinstance(widget, QHeaderView) and not _is_qts_own(widget)
    ]


def _is_qts_own(widget: QWidget) -> bool:
    parent = widget.parentWidget()
    inside = isinstance(parent, QLineEdit | QTabBar | QAbstractItemView)
    return inside or type(widget).__name__ == "QTableCornerButton" or widget.objectName().startswith("qt_")


def _name(widget: QWidget) -> str:
    """What a screen reader says: Qt takes a button's text where it has no name of its own."""
    return widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")


def _path(widget: QWidget) -> str:
    names = []
    while widget is not None:
        names.append(type(widget).__name__)
        widget = widget.parentWidget()
    return " < ".join(names)


def test_every_control_has_a_name(shell: Shell) -> None:
    nameless = [_path(widget) for widget in _controls(shell.window) if not _name(widget)]
    assert nameless == []


def test_every_control_can_be_reached_by_the_keyboard(shell: Shell) -> None:
    unreachable = [
        f"{widget.accessibleName()}: {_path(widget)}"
        for widget in _controls(shell.window)
        if not isinstance(widget, QProgressBar) and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert unreachable == []


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("size", [(1100, 720), (800, 560)])
def test_every_page_fits_and_is_drawn(
    qtbot: QtBot, qapp: QApplication, shell: Shell, mode: Mode, size: tuple[int, int]
) -> None:
    apply_theme(qapp, mode)
    shell.window.resize(*size)
    for page in Page:
        shell.window.show_page(page)
        assert shell.window.minimumSizeHint().width() <= size[0]
        assert not shell.window.grab().isNull()
