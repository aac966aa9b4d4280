from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.gui.settings.fields import (
    ChoiceField,
    SwitchField,
    TextField,
    automatic_number,
    gpu_layers,
    hub_address,
    proxy,
    speed_limit,
    whole_number,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (whole_number(1, 64), "4", 4),
        (automatic_number(256, 9999), "", 0),
        (automatic_number(256, 9999), "0", 0),
        (automatic_number(256, 9999), "4096", 4096),
        (gpu_layers, "", "auto"),
        (gpu_layers, "Auto", "auto"),
        (gpu_layers, "0", 0),
        (hub_address, "https://mirror.example/", "https://mirror.example"),
        (hub_address, "huggingface.co", "https://huggingface.co"),
        (proxy, "", ""),
        (proxy, "http://proxy.example:8080", "http://proxy.example:8080"),
        (speed_limit, "", 0.0),
        (speed_limit, "2.5", 2.5),
    ],
)
def test_what_is_right_is_understood(parse: Callable[[str], Any], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (whole_number(1, 64), ""),
        (whole_number(1, 64), "65"),
        (whole_number(1, 64), "-1"),
        (whole_number(1, 64), "٣"),
        (automatic_number(256, 9999), "12"),
        (gpu_layers, "many"),
        (hub_address, "mirror"),
        (hub_address, "ftp://example.org"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"^Enter .*\.$"):
        parse(text)


@pytest.fixture
def field(qtbot: QtBot) -> TextField:
    made = TextField("Port", parse=whole_number(0, 65535))
    qtbot.addWidget(made)
    made.set_value(8642)
    return made


def test_a_value_is_told_once_it_is_committed(field: TextField, qtbot: QtBot) -> None:
    field.edit.setText("8643")
    with qtbot.waitSignal(field.changed) as changed:
        field.edit.editingFinished.emit()
    assert changed.args == [8643]
    with qtbot.assertNotEmitted(field.changed):
        field.edit.editingFinished.emit()


def test_a_mistake_is_shown_at_the_field_and_goes_away_when_mended(field: TextField, qtbot: QtBot) -> None:
    field.edit.setText("99999")
    with qtbot.assertNotEmitted(field.changed):
        field.edit.editingFinished.emit()
    assert field.error == "Enter a whole number from 0 to 65535."
    field.edit.clear()
    qtbot.keyClicks(field.edit, "80")
    assert field.error == ""


def test_one_of_the_choices_is_taken(qtbot: QtBot) -> None:
    field = ChoiceField("Appearance", (("light", "Light", "sun"), ("dark", "Dark", "moon")))
    qtbot.addWidget(field)
    field.set_value("light")
    assert field.value == "light"
    with qtbot.waitSignal(field.changed) as changed:
        field.findChildren(QPushButton)[1].click()
    assert changed.args == ["dark"]


def test_a_switch_shows_a_setting_without_a_word_and_tells_what_a_person_chose(qtbot: QtBot) -> None:
    field = SwitchField("Stay offline", "Nothing is asked.")
    qtbot.addWidget(field)
    with qtbot.assertNotEmitted(field.changed):
        field.set_value(True)
    with qtbot.waitSignal(field.changed) as changed:
        field.switch.click()
    assert changed.args == [False]
    assert field.switch.accessibleName() == "Stay offline"
