"""One setting of a model: its name, where it is set, what it means, and where its value comes from."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from app.gui.controls import label, tool_button
from app.gui.desktop import Desktop
from app.gui.models.profile_editors import EDITOR_WIDTH, AdaptersEditor, AnyEditor, ChoiceEditor, LineEditor, LongEditor
from app.gui.models.profile_settings import Adapters, LongText, Setting
from app.gui.models.profile_values import Choice, choice_text
from app.gui.theme import Theme
from app.service.model_profiles import EffectiveValue, ValueSource

__all__ = ["ProfileRow"]

_WORTH_SHOWING = 40


class ProfileRow(QWidget):
    """`changed` carries the value that a person set, None to leave the setting to what holds otherwise."""

    changed = Signal(object)

    def __init__(self, setting: Setting, desktop: Desktop) -> None:
        super().__init__()
        self.setting = setting
        self.is_set = False
        self.editor = _editor(setting, desktop)
        self.reset_button = tool_button("undo", self.tr("Take back: {0}").format(setting.title))
        self._source = label(role="caption", wrap=True)
        self._source.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        self._source.setFixedWidth(EDITOR_WIDTH)
        self._error = label(role="error", wrap=True)
        self._error.hide()
        self._lay_out()
        self.editor.changed.connect(self.changed)
        self.editor.wrong.connect(self.tell)
        self.reset_button.clicked.connect(self._reset)

    def _lay_out(self) -> None:
        title = label(self.setting.title, wrap=True)
        title.setBuddy(self.editor)
        hint = label(self.setting.hint, "caption", wrap=True)
        for one in (title, hint):
            one.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        keep = self.reset_button.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self.reset_button.setSizePolicy(keep)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(Theme.GAP)
        grid.setVerticalSpacing(Theme.TIGHT - 1)
        grid.setColumnStretch(0, 1)
        if isinstance(self.setting.kind, LongText | Adapters):
            grid.addWidget(title, 0, 0)
            grid.addWidget(self._source, 0, 1, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(self.reset_button, 0, 2)
            grid.addWidget(hint, 1, 0, 1, 3)
            grid.addWidget(self.editor, 2, 0, 1, 3)
        else:
            grid.addWidget(title, 0, 0)
            grid.addWidget(self.editor, 0, 1)
            grid.addWidget(self.reset_button, 0, 2)
            grid.addWidget(hint, 1, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(self._source, 1, 1, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self._error, 3, 0, 1, 3)

    @property
    def error(self) -> str:
        """What is wrong with what was typed; "" if nothing is."""
        return "" if self._error.isHidden() else self._error.text()

    @property
    def source(self) -> str:
        return self._source.text()

    def show_value(self, value: EffectiveValue) -> None:
        self.is_set = value.source is ValueSource.MODEL
        self.reset_button.setVisible(self.is_set)
        self.editor.show_value(value.value if self.is_set else None, value.otherwise)
        self._source.setText(self._source_text(value))
        self.editor.describe(f"{self.setting.hint} {self.source}.")

    def flush(self) -> None:
        """Take what was typed and not yet committed."""
        if isinstance(self.editor, LineEditor | LongEditor):
            self.editor.flush()

    def tell(self, error: str) -> None:
        self._error.setText(error)
        self._error.setVisible(bool(error))

    def matches(self, words: str) -> bool:
        """Whether it is meant by what a person looks for, in lower case."""
        return words in f"{self.setting.title} {self.setting.hint} {self.setting.name}".casefold()

    def _reset(self) -> None:
        # The button is about to vanish, and the keyboard with it.
        self.editor.setFocus()
        self.changed.emit(None)

    def _source_text(self, value: EffectiveValue) -> str:
        match value.source:
            case ValueSource.MODEL:
                otherwise = self._text(value)
                return _tr("Set here; otherwise {0}").format(otherwise) if otherwise else _tr("Set here")
            case ValueSource.GENERAL:
                return _tr("From Settings")
            case ValueSource.FILE:
                return _tr("Comes with the model")
            case ValueSource.DEFAULT:
                return _tr("Default")

    def _text(self, value: EffectiveValue) -> str:
        """What would hold otherwise, where that can be said in a word or two."""
        match self.setting.kind:
            case LongText() | Adapters():
                return ""
            case Choice() as choice:
                text = choice_text(choice, value.otherwise)
            case notation:
                text = notation.show(value.otherwise)
        return text if len(text) < _WORTH_SHOWING else ""


def _editor(setting: Setting, desktop: Desktop) -> AnyEditor:
    match setting.kind:
        case LongText():
            return LongEditor(setting.title)
        case Adapters():
            return AdaptersEditor(setting.title, desktop)
        case Choice() as choice:
            return ChoiceEditor(setting.title, choice)
        case notation:
            return LineEditor(setting.title, notation, desktop=desktop if setting.is_file else None)


def _tr(text: str) -> str:
    return QCoreApplication.translate("profile", text)
