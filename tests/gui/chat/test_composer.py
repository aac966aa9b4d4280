from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage, QInputMethodEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QToolButton
from pytestqt.qtbot import QtBot

from app.domain.errors import InvalidRequest
from app.gui.chat.composer import Composer
from app.gui.chat.pictures import attach

Png = Callable[..., bytes]


@pytest.fixture
def composer(qtbot: QtBot) -> Composer:
    made = Composer()
    made.picture_offered.connect(lambda source: read_now(made, source))
    qtbot.addWidget(made)
    made.resize(600, 200)
    made.show()
    return made


def read_now(composer: Composer, source: Path | QImage) -> None:
    """What the page does on another thread."""
    try:
        composer.add_picture(attach(source))
    except InvalidRequest as error:
        composer.refuse_picture(error.message)


def edit_of(composer: Composer) -> QPlainTextEdit:
    return composer.findChildren(QPlainTextEdit)[0]


def button(composer: Composer, name: str) -> QToolButton:
    return next(each for each in composer.findChildren(QToolButton) if each.accessibleName() == name)


def sent(composer: Composer) -> list[tuple[str, int]]:
    """What is submitted from now on: texts and numbers of pictures."""
    found: list[tuple[str, int]] = []
    composer.submitted.connect(lambda text, pictures: found.append((text, len(pictures))))
    return found


def test_enter_sends_and_empties(composer: Composer, qtbot: QtBot) -> None:
    found = sent(composer)
    qtbot.keyClicks(edit_of(composer), "Hello")
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return)
    assert found == [("Hello", 0)]
    assert composer.text == ""


def test_shift_enter_breaks_the_line(composer: Composer, qtbot: QtBot) -> None:
    found = sent(composer)
    qtbot.keyClicks(edit_of(composer), "one")
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(edit_of(composer), "two")
    assert composer.text == "one\ntwo"
    assert found == []


def test_enter_does_not_send_while_an_input_method_composes(composer: Composer, qtbot: QtBot) -> None:
    found = sent(composer)
    composer.set_text("日本")
    QApplication.sendEvent(edit_of(composer), QInputMethodEvent("ご", []))
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return)
    assert found == []
    QApplication.sendEvent(edit_of(composer), QInputMethodEvent("", []))
    composer.set_text("日本語")
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return)
    assert found == [("日本語", 0)]


def test_nothing_but_white_space_is_not_sent(composer: Composer, qtbot: QtBot) -> None:
    found = sent(composer)
    composer.set_text("  \n ")
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return)
    assert found == []
    assert not button(composer, "Send").isEnabled()


def test_it_grows_with_its_text_up_to_a_limit(composer: Composer, qtbot: QtBot) -> None:
    heights = []
    for lines in (1, 3, 9, 40):
        composer.set_text("\n".join("x" * lines))
        heights.append(edit_of(composer).height())
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_a_pasted_picture_is_attached_and_can_be_removed(composer: Composer, qtbot: QtBot, png: Png) -> None:
    QApplication.clipboard().setImage(QImage.fromData(png()))
    edit_of(composer).paste()
    assert len(composer.pictures) == 1
    found = sent(composer)
    qtbot.mouseClick(button(composer, "Remove picture 1"), Qt.MouseButton.LeftButton)
    assert composer.pictures == ()
    composer.send()
    assert found == []


def test_a_picture_alone_can_be_sent(composer: Composer, png: Png) -> None:
    found = sent(composer)
    assert composer.attach_image(png())
    composer.send()
    assert found == [("", 1)]


def test_pasted_text_stays_text_even_if_a_bitmap_comes_with_it(composer: Composer, png: Png) -> None:
    mime = QMimeData()
    mime.setText("a cell")
    mime.setImageData(QImage.fromData(png()))
    edit_of(composer).insertFromMimeData(mime)
    assert composer.text == "a cell"
    assert composer.pictures == ()


def test_dropped_files_are_attached_and_a_foreign_one_is_explained(composer: Composer, png: Png, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png())
    (tmp_path / "notes.txt").write_text("no picture")
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / name)) for name in ("notes.txt", "red.png")])
    any_button, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    composer.dropEvent(QDropEvent(QPointF(QPoint(5, 5)), Qt.DropAction.CopyAction, mime, any_button, no_key))
    assert [picture.name for picture in composer.pictures] == ["red.png"]
    assert "not a picture" in composer.note


def test_a_model_that_can_not_see_is_named_before_sending(composer: Composer, png: Png) -> None:
    found = sent(composer)
    composer.attach_image(png())
    composer.set_model("Blind 7B", sees_pictures=False)
    composer.send()
    assert found == []
    assert "Blind 7B can't see pictures" in composer.note
    composer.set_model("Ember", sees_pictures=True)
    assert composer.note == ""
    composer.send()
    assert found == [("", 1)]


def test_send_becomes_stop_while_an_answer_is_written(composer: Composer, qtbot: QtBot) -> None:
    found = sent(composer)
    composer.set_answering(True)
    composer.set_text("next")
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return)
    assert found == []
    with qtbot.waitSignal(composer.stop_wanted):
        qtbot.mouseClick(button(composer, "Stop"), Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(composer.stop_wanted):
        qtbot.keyClick(edit_of(composer), Qt.Key.Key_Escape)
    composer.set_answering(False)
    qtbot.mouseClick(button(composer, "Send"), Qt.MouseButton.LeftButton)
    assert found == [("next", 0)]


def test_what_could_not_be_sent_comes_back_unless_something_new_was_written(composer: Composer, png: Png) -> None:
    composer.attach_image(png())
    kept = composer.pictures
    composer.remove_picture(0)
    composer.restore("lost", kept)
    assert (composer.text, composer.pictures) == ("lost", kept)
    composer.restore("older", ())
    assert composer.text == "lost"


def test_nothing_is_sent_while_a_picture_is_read(qtbot: QtBot, png: Png) -> None:
    composer = Composer()
    qtbot.addWidget(composer)
    found = sent(composer)
    composer.set_text("What is this?")
    composer.offer_picture(QImage.fromData(png()))
    composer.send()
    assert found == []
    assert "Reading" in composer.note
    composer.add_picture(attach(png()))
    composer.send()
    assert found == [("What is this?", 1)]


def test_copying_and_pasting_text_works_as_everywhere(composer: Composer, qtbot: QtBot) -> None:
    QApplication.clipboard().setText("two\nlines")
    qtbot.keySequence(edit_of(composer), QKeySequence(QKeySequence.StandardKey.Paste))
    assert composer.text == "two\nlines"


def test_thinking_is_offered_for_a_model_that_can(composer: Composer, qtbot: QtBot) -> None:
    wanted: list[bool] = []
    composer.thinking_wanted.connect(wanted.append)
    think = next(each for each in composer.findChildren(QToolButton) if each.text() == "Think")
    assert not think.isVisible()
    composer.set_thinking(False)
    assert think.isVisible()
    assert not think.isChecked()
    qtbot.mouseClick(think, Qt.MouseButton.LeftButton)
    qtbot.keyClick(think, Qt.Key.Key_Space)
    assert wanted == [True, False]
    composer.set_thinking(True)
    assert think.isChecked()
    assert wanted == [True, False]
    composer.set_thinking(None)
    assert not think.isVisible()
