from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QTextDocument, QWheelEvent
from pytestqt.qtbot import QtBot

from app.gui.chat.prose_view import PlainView


def test_what_a_person_wrote_stays_plain_text(qtbot: QtBot) -> None:
    view = PlainView("<b>bold</b>\n  indented")
    qtbot.addWidget(view)
    assert view.toPlainText() == "<b>bold</b>\n  indented"


def test_it_is_as_wide_as_its_text_up_to_a_limit_and_grows_taller_where_it_wraps(qtbot: QtBot) -> None:
    short, long = PlainView("Hi"), PlainView("many words " * 60)
    for view in (short, long):
        qtbot.addWidget(view)
        view.setFixedWidth(view.natural_width(400))
        view.show()
    assert short.width() < long.width() <= 400
    assert short.height() < long.height()


def test_nothing_is_ever_fetched_from_the_disk_or_the_network(qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    view = PlainView("text")
    qtbot.addWidget(view)
    kind = QTextDocument.ResourceType.ImageResource.value
    for address in ((tmp_path / "secret.txt").as_uri(), "http://127.0.0.1:9/tracker.png"):
        assert view.loadResource(kind, QUrl(address)) == QByteArray()


def test_a_link_is_told_instead_of_followed(qtbot: QtBot) -> None:
    view = PlainView("text")
    qtbot.addWidget(view)
    with qtbot.waitSignal(view.link_wanted) as told:
        view.anchorClicked.emit(QUrl("https://example.org/a"))
    assert told.args == ["https://example.org/a"]
    assert view.toPlainText() == "text"


def test_the_wheel_is_left_to_the_transcript(qtbot: QtBot) -> None:
    view = PlainView("text")
    qtbot.addWidget(view)
    no_key, no_button = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.NoButton
    down, phase = QPoint(0, -120), Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(QPointF(1, 1), QPointF(1, 1), QPoint(), down, no_button, no_key, phase, False)
    view.wheelEvent(event)
    assert not event.isAccepted()
