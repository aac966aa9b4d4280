from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from app.gui.bridge import Bridge
from app.gui.models.profile_dialog import ProfileDialog
from app.gui.models.profile_editors import AdaptersEditor, ChoiceEditor, LineEditor, LongEditor
from app.paths import resource
from app.service.services import Services
from app.settings import ModelSettings
from tests.gui.stand_ins import StandInDesktop, StandInLibrary, a_model

OnLoop = Callable[[Callable[[], Any]], Any]
MODEL = a_model("ember", path=resource("ember", "ember.gguf"))


@pytest.fixture
def dialog(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop, on_loop: OnLoop) -> ProfileDialog:
    on_loop(lambda: cast(StandInLibrary, services.library).put(MODEL))
    made = ProfileDialog(services, bridge, desktop=desktop)
    qtbot.addWidget(made)
    made.ask(MODEL)
    qtbot.waitUntil(lambda: "adapters" in made.rows and bool(made.rows["n_ctx"].source))
    return made


@pytest.fixture
def own(services: Services, on_loop: OnLoop) -> Callable[[], ModelSettings]:
    """What is set for the model."""
    return lambda: on_loop(lambda: services.settings.current.models.get("ember", ModelSettings()))


def _line(dialog: ProfileDialog, name: str) -> QLineEdit:
    editor = dialog.rows[name].editor
    assert isinstance(editor, LineEditor)
    return editor.edit


def _type(qtbot: QtBot, edit: QLineEdit, text: str) -> None:
    edit.selectAll()
    qtbot.keyClicks(edit, text) if text else qtbot.keyClick(edit, Qt.Key.Key_Delete)
    qtbot.keyClick(edit, Qt.Key.Key_Return)


def test_each_value_says_where_it_comes_from(dialog: ProfileDialog, qtbot: QtBot, services: Services, on_loop: OnLoop) -> None:
    assert dialog.rows["n_ctx"].source == "Default"
    assert dialog.rows["sampling.temperature"].source == "Comes with the model"
    assert _line(dialog, "sampling.temperature").placeholderText() == "0"
    on_loop(lambda: services.settings.update(n_ctx=4096))
    qtbot.waitUntil(lambda: dialog.rows["n_ctx"].source == "From Settings")
    assert (_line(dialog, "n_ctx").text(), _line(dialog, "n_ctx").placeholderText()) == ("", "4096")


def test_a_value_is_kept_when_it_is_committed_and_can_be_taken_back(
    dialog: ProfileDialog, qtbot: QtBot, own: Callable[[], ModelSettings]
) -> None:
    row = dialog.rows["n_ctx"]
    assert row.reset_button.isHidden()
    _type(qtbot, _line(dialog, "n_ctx"), "2048")
    qtbot.waitUntil(lambda: row.source == "Set here; otherwise automatic")
    assert own().n_ctx == 2048
    assert dialog.isVisible()
    assert dialog.only_set.text() == "Set here (1)"
    row.reset_button.click()
    qtbot.waitUntil(lambda: row.source == "Default")
    assert own().n_ctx is None
    assert _line(dialog, "n_ctx").text() == ""


def test_an_emptied_line_takes_the_value_back(dialog: ProfileDialog, qtbot: QtBot, own: Callable[[], ModelSettings]) -> None:
    _type(qtbot, _line(dialog, "sampling.top_k"), "10")
    qtbot.waitUntil(lambda: own().sampling.top_k == 10)
    _type(qtbot, _line(dialog, "sampling.top_k"), "")
    qtbot.waitUntil(lambda: own().sampling.top_k is None)


def test_what_can_t_be_is_said_at_the_setting_and_close_waits_for_it(
    dialog: ProfileDialog, qtbot: QtBot, own: Callable[[], ModelSettings]
) -> None:
    row, edit = dialog.rows["sampling.top_p"], _line(dialog, "sampling.top_p")
    edit.setFocus()
    qtbot.keyClicks(edit, "2")
    dialog.close_button.click()
    assert "from 0 to 1" in row.error
    assert dialog.isVisible()
    _type(qtbot, edit, "0.5")
    assert row.error == ""
    dialog.close_button.click()
    assert not dialog.isVisible()
    qtbot.waitUntil(lambda: own().sampling.top_p == 0.5)


def test_what_the_settings_refuse_is_said_at_the_setting(dialog: ProfileDialog, qtbot: QtBot) -> None:
    row = dialog.rows["adapters"]
    row.changed.emit([{"path": "/a.gguf", "scale": 1000}])
    qtbot.waitUntil(lambda: "can't be used" in row.error)


def test_a_choice_is_kept_and_its_menu_begins_with_what_holds_otherwise(
    dialog: ProfileDialog, qtbot: QtBot, own: Callable[[], ModelSettings]
) -> None:
    editor = dialog.rows["reasoning_effort"].editor
    assert isinstance(editor, ChoiceEditor)
    actions = {action.text(): action for action in editor.menu.actions() if action.text()}
    assert next(iter(actions)) == "Not set here (Automatic)"
    actions["Low"].trigger()
    qtbot.waitUntil(lambda: own().reasoning_effort == "low")
    qtbot.waitUntil(lambda: editor.button.text() == "Low")
    next(action for action in editor.menu.actions() if action.text().startswith("Not set")).trigger()
    qtbot.waitUntil(lambda: own().reasoning_effort is None)


def test_long_text_is_kept_when_the_window_closes(
    dialog: ProfileDialog, qtbot: QtBot, own: Callable[[], ModelSettings]
) -> None:
    editor = dialog.rows["system_prompt"].editor
    assert isinstance(editor, LongEditor)
    editor.edit.setPlainText("Answer briefly.")
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: own().system_prompt == "Answer briefly.")


def test_what_somebody_is_typing_is_not_overwritten_by_a_change_elsewhere(
    dialog: ProfileDialog, qtbot: QtBot, services: Services, on_loop: OnLoop
) -> None:
    edit = _line(dialog, "n_threads")
    edit.setFocus()
    qtbot.keyClicks(edit, "6")
    on_loop(lambda: services.profiles.update("ember", {"n_ctx": 1024}))
    qtbot.waitUntil(lambda: dialog.rows["n_ctx"].is_set)
    assert edit.text() == "6"


def test_adapters_are_added_weighed_and_taken_off(
    dialog: ProfileDialog, qtbot: QtBot, desktop: StandInDesktop, own: Callable[[], ModelSettings]
) -> None:
    editor = dialog.rows["adapters"].editor
    assert isinstance(editor, AdaptersEditor)
    desktop.file = Path("/adapters/style.gguf")
    editor.add_button.click()
    qtbot.waitUntil(lambda: bool(editor.findChildren(LineEditor)))
    adapters = own().adapters
    assert adapters is not None
    assert [(one.path, one.scale) for one in adapters] == [(Path("/adapters/style.gguf"), 1.0)]
    _type(qtbot, editor.findChildren(LineEditor)[-1].edit, "0.5")
    qtbot.waitUntil(lambda: [one.scale for one in own().adapters or ()] == [0.5])
    remove = "Take style.gguf off"
    qtbot.waitUntil(lambda: bool(_named(editor, remove)))
    _named(editor, remove)[-1].click()
    qtbot.waitUntil(lambda: own().adapters == ())


def test_settings_are_found_by_name_and_narrowed_down_to_those_that_are_set(dialog: ProfileDialog, qtbot: QtBot) -> None:
    dialog.field.setText("kv type")
    assert _shown(dialog) == []
    dialog.field.setText("N_CTX")
    assert _shown(dialog) == ["n_ctx"]
    dialog.field.setText("temperature")
    assert "sampling.temperature" in _shown(dialog)
    dialog.field.clear()
    dialog.only_set.click()
    assert _shown(dialog) == []
    dialog.only_set.click()
    _type(qtbot, _line(dialog, "n_batch"), "512")
    qtbot.waitUntil(lambda: dialog.rows["n_batch"].is_set)
    dialog.only_set.click()
    assert _shown(dialog) == ["n_batch"]


def test_everything_but_the_note_is_taken_back_at_once(
    dialog: ProfileDialog,
    qtbot: QtBot,
    services: Services,
    desktop: StandInDesktop,
    on_loop: OnLoop,
    own: Callable[[], ModelSettings],
) -> None:
    on_loop(lambda: services.profiles.update("ember", {"n_ctx": 1024, "note": "mine", "sampling.seed": 7}))
    qtbot.waitUntil(lambda: dialog.rows["sampling.seed"].is_set)
    desktop.says_yes = False
    dialog.reset_button.click()
    assert "Context size, in tokens, Seed" in desktop.asked[0] or "Seed, Context size, in tokens" in desktop.asked[0]
    assert own().n_ctx == 1024
    desktop.says_yes = True
    dialog.reset_button.click()
    qtbot.waitUntil(lambda: own() == ModelSettings(note="mine"))
    qtbot.waitUntil(lambda: not dialog.reset_button.isEnabled())


def test_settings_are_taken_to_another_model_by_a_file(
    dialog: ProfileDialog, qtbot: QtBot, services: Services, desktop: StandInDesktop, on_loop: OnLoop, tmp_path: Path
) -> None:
    _type(qtbot, _line(dialog, "n_ctx"), "2048")
    qtbot.waitUntil(lambda: dialog.rows["n_ctx"].is_set)
    desktop.file = tmp_path / "ember.json"
    dialog.export_button.click()
    qtbot.waitUntil(desktop.file.exists)
    assert desktop.asked == ["ember.json"]
    assert json.loads(desktop.file.read_text("utf-8"))["settings"] == {"n_ctx": 2048}
    on_loop(lambda: cast(StandInLibrary, services.library).put(MODEL, a_model("other")))
    dialog.ask(a_model("other"))
    qtbot.waitUntil(lambda: "n_ctx" in dialog.rows)
    dialog.import_button.click()
    qtbot.waitUntil(lambda: dialog.rows["n_ctx"].is_set)
    assert on_loop(lambda: services.settings.current.models["other"].n_ctx) == 2048


def test_a_file_that_holds_no_settings_is_refused_in_words(
    dialog: ProfileDialog, qtbot: QtBot, desktop: StandInDesktop, tmp_path: Path
) -> None:
    desktop.file = tmp_path / "holiday.json"
    desktop.file.write_text("[1, 2")
    dialog.import_button.click()
    qtbot.waitUntil(lambda: "holds no settings of a model" in dialog.banner.text)


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(dialog: ProfileDialog) -> None:
    controls: list[QWidget] = [
        *dialog.findChildren(QAbstractButton),
        *dialog.findChildren(QPlainTextEdit),
        *(edit for edit in dialog.findChildren(QLineEdit) if not edit.objectName().startswith("qt_")),
    ]
    own = [one for one in controls if not isinstance(one.parentWidget(), QLineEdit) and not one.objectName().startswith("qt_")]
    assert [one for one in own if not one.accessibleName()] == []
    assert [one.accessibleName() for one in own if not one.focusPolicy() & Qt.FocusPolicy.TabFocus] == []


def _shown(dialog: ProfileDialog) -> list[str]:
    return [name for name, row in dialog.rows.items() if not row.isHidden()]


def _named(parent: QWidget, name: str) -> list[QAbstractButton]:
    return [one for one in parent.findChildren(QAbstractButton) if one.accessibleName() == name]
