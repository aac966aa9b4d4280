from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.gui.flow import FlowLayout


def _filled(qtbot: QtBot, *widths: int) -> tuple[QWidget, list[QWidget]]:
    holder = QWidget()
    qtbot.addWidget(holder)
    layout = FlowLayout(holder, gap=10)
    made = []
    for width in widths:
        one = QWidget()
        one.setFixedSize(width, 20)
        layout.addWidget(one)
        made.append(one)
    return holder, made


def _places(widgets: list[QWidget]) -> list[tuple[int, int]]:
    return [(widget.x(), widget.y()) for widget in widgets]


def test_what_does_not_fit_begins_a_new_line(qtbot: QtBot) -> None:
    holder, made = _filled(qtbot, 50, 50, 50)
    holder.resize(120, 100)
    holder.grab()
    assert _places(made) == [(0, 0), (60, 0), (0, 30)]
    assert holder.layout().heightForWidth(120) == 50
    assert holder.layout().heightForWidth(170) == 20


def test_what_is_hidden_takes_no_room(qtbot: QtBot) -> None:
    holder, made = _filled(qtbot, 50, 50, 50)
    made[1].hide()
    holder.resize(120, 100)
    holder.grab()
    assert _places([made[0], made[2]]) == [(0, 0), (60, 0)]


def test_where_one_reads_from_right_to_left_it_begins_at_the_right(qtbot: QtBot) -> None:
    holder, made = _filled(qtbot, 50, 50)
    holder.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    holder.resize(200, 40)
    holder.grab()
    assert _places(made) == [(150, 0), (90, 0)]


def test_what_is_wider_than_the_line_is_cut_to_it(qtbot: QtBot) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    made = QPushButton("a long text " * 20)
    FlowLayout(holder).addWidget(made)
    holder.resize(120, 40)
    holder.grab()
    assert holder.minimumSizeHint().width() <= 120
    assert made.width() == 120
