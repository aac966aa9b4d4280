from __future__ import annotations

from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from app.gui.chat.notices import ModelLine, ProblemLine


def test_a_problem_is_shown_until_it_is_dismissed_or_over(qtbot: QtBot) -> None:
    line = ProblemLine()
    qtbot.addWidget(line)
    assert line.isHidden()
    line.say("The disk is full.")
    assert (line.isHidden(), line.text) == (False, "The disk is full.")
    line.findChildren(QAbstractButton)[0].click()
    assert line.isHidden()
    line.say("Again.")
    line.say("")
    assert line.isHidden()


def test_the_line_about_the_model_leads_to_the_models_and_shows_its_name_as_it_is(qtbot: QtBot) -> None:
    line = ModelLine()
    qtbot.addWidget(line)
    line.show_model("<b>Ember</b>")
    assert "&lt;b&gt;Ember&lt;/b&gt;" in line.text()
    assert "<b>Ember</b>" in line.accessibleName()
    with qtbot.waitSignal(line.models_page_wanted):
        line.linkActivated.emit("models")
