from __future__ import annotations

from pytestqt.qtbot import QtBot

from app.domain.models import Removal
from app.gui.models.undo_bar import UndoBar
from tests.gui.stand_ins import a_model


def test_what_was_closed_comes_back_with_the_next_removal(qtbot: QtBot) -> None:
    bar = UndoBar()
    qtbot.addWidget(bar)
    one, other = (Removal(name, a_model(name), 0) for name in ("one", "other"))
    bar.show_removals((one,))
    assert bar.isVisible()
    bar.hide()
    bar.show_removals((one,))
    assert not bar.isVisible()
    bar.show_removals((one, other))
    assert bar.isVisible()
    assert "One, Other" in bar.text
