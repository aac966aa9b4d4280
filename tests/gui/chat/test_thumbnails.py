from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from app.gui.chat.pictures import attach
from app.gui.chat.thumbnails import PictureDialog, Thumbnail, ThumbnailStrip

Png = Callable[..., bytes]


def test_a_thumbnail_takes_the_shape_of_its_picture_and_opens_by_mouse_and_key(qtbot: QtBot, png: Png) -> None:
    small = Thumbnail(100)
    qtbot.addWidget(small)
    small.show_picture(png(400, 200))
    assert small.size().toTuple() == (100, 50)
    with qtbot.waitSignal(small.opened):
        qtbot.mouseClick(small, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(small.opened):
        qtbot.keyClick(small, Qt.Key.Key_Return)


def test_the_strip_shows_as_many_as_there_are_and_tells_which_is_removed(qtbot: QtBot, png: Png) -> None:
    strip = ThumbnailStrip()
    qtbot.addWidget(strip)
    assert strip.isHidden()
    strip.show_pictures([attach(png()), attach(png(colour="blue"))])
    assert not strip.isHidden()
    removed: list[int] = []
    strip.removed.connect(removed.append)
    names = {each.accessibleName(): each for each in strip.findChildren(QToolButton)}
    names["Remove picture 2"].click()
    assert removed == [1]
    strip.show_pictures([])
    assert strip.isHidden()


def test_a_picture_opens_no_larger_than_the_screen_and_closes_with_a_click(qtbot: QtBot, png: Png) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = PictureDialog(png(4000, 3000), parent)
    dialog.open()
    screen = QApplication.primaryScreen().availableSize()
    assert dialog.width() <= screen.width()
    assert dialog.height() <= screen.height()
    with qtbot.waitSignal(dialog.accepted):
        qtbot.mouseClick(dialog, Qt.MouseButton.LeftButton)
