"""How one model is loaded and answers: every setting, its value, and where that comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.domain.errors import InvalidRequest
from app.domain.models import InstalledModel
from app.gui.bridge import Bridge, Task
from app.gui.controls import Banner, button, label, tool_button
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.theme import Theme
from app.service.model_profiles import EffectiveValue, ValueSource
from app.service.services import Services

__all__ = ["ProfileDialog"]

_ON_OFF = ("use_mmap", "use_mlock", "memory_check", "pinned")
_CHOICES = {
    "cache_type_k": ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"),
    "cache_type_v": ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"),
    "flash_attention": ("auto", "on", "off"),
    "rope_type": ("", "none", "linear", "yarn", "longrope"),
    "reasoning_effort": ("auto", "none", "on", "minimal", "low", "medium", "high", "xhigh", "max"),
}
_LONG = ("system_prompt",)
# Edited where the model itself is shown.
_ELSEWHERE = ("note",)
_USUAL = (
    "n_ctx",
    "gpu_layers",
    "flash_attention",
    "cache_type_k",
    "cache_type_v",
    "keep_alive_s",
    "pinned",
    "system_prompt",
    "reasoning_effort",
    "chat_template",
    "sampling.temperature",
    "sampling.top_k",
    "sampling.top_p",
    "sampling.min_p",
    "sampling.repeat_penalty",
)


class ProfileDialog(QDialog):
    """Saves each value when it is committed. An idle model takes changes on with its next use."""

    def __init__(self, services: Services, bridge: Bridge, model: InstalledModel, parent: QWidget, *, desktop: Desktop) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Settings of {0}").format(model.name))
        self._services = services
        self._bridge = bridge
        self._model = model
        self._desktop = desktop
        self.rows: dict[str, _Row] = {}
        self.banner = Banner()
        self.search = QLineEdit(placeholderText=self.tr("Search settings"))
        self.search.setAccessibleName(self.tr("Search settings"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda _: self._filter())
        self.all_button = button(self.tr("All settings"), kind="filter")
        self.all_button.setCheckable(True)
        self.all_button.toggled.connect(lambda _: self._filter())
        self._grid = QGridLayout()
        self._lay_out()
        self.resize(680, 620)
        bridge.watch(services.settings.changed, self._ask)
        self._ask()

    def _lay_out(self) -> None:
        hint = self.tr(
            "What is empty here follows the general settings and the model's file. A loaded model takes changes on when it is "
            "used next."
        )
        body = QWidget()
        body.setProperty("role", "page")
        self._grid.setHorizontalSpacing(Theme.PAD)
        self._grid.setVerticalSpacing(Theme.GAP)
        self._grid.setColumnStretch(1, 1)
        inner = QVBoxLayout(body)
        inner.setContentsMargins(0, 0, Theme.PAD, 0)
        inner.addLayout(self._grid)
        inner.addStretch()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setAccessibleName(self.tr("Settings"))
        area.setWidget(body)
        head = QHBoxLayout()
        head.addWidget(self.search, 1)
        head.addWidget(self.all_button)
        self.export_button = button(self.tr("Export…"), name=self.tr("Save these settings to a file"))
        self.import_button = button(self.tr("Take over…"), name=self.tr("Take over settings from a file"))
        self.export_button.clicked.connect(self._export)
        self.import_button.clicked.connect(self._take)
        foot = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        foot.addButton(self.export_button, QDialogButtonBox.ButtonRole.ActionRole)
        foot.addButton(self.import_button, QDialogButtonBox.ButtonRole.ActionRole)
        foot.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(Theme.ROOM, Theme.ROOM, Theme.ROOM, Theme.PAD)
        column.setSpacing(Theme.PAD)
        for widget in (label(hint, "caption", wrap=True), self.banner):
            column.addWidget(widget)
        column.addLayout(head)
        column.addWidget(area, 1)
        column.addWidget(foot)

    def _ask(self, _changed: object = None) -> None:
        self._run(self._bridge.submit(self._services.profiles.effective(self._model.id), self), self._show)

    def _show(self, values: tuple[EffectiveValue, ...]) -> None:
        if not self.rows:
            for value in sorted(values, key=lambda one: _USUAL.index(one.name) if one.name in _USUAL else len(_USUAL)):
                if value.name not in _ELSEWHERE:
                    self._add(value)
            self._filter()
        for value in values:
            if (row := self.rows.get(value.name)) is not None:
                row.show_value(value)

    def _add(self, value: EffectiveValue) -> None:
        row = self.rows[value.name] = _Row(value, lambda given, name=value.name: self._set(name, given))
        at = self._grid.rowCount()
        for place, widget in enumerate(row.widgets):
            self._grid.addWidget(widget, at, place, Qt.AlignmentFlag.AlignVCenter)

    def _filter(self) -> None:
        words = self.search.text().casefold().split()
        for name, row in self.rows.items():
            wanted = all(word in f"{name} {row.title}".casefold() for word in words)
            row.set_visible(wanted and (bool(words) or self.all_button.isChecked() or name in _USUAL or row.is_set))

    def _set(self, name: str, given: Any) -> None:
        self.banner.tell("")
        task = self._bridge.call(lambda: self._services.profiles.update(self._model.id, {name: given}), self)
        task.failed.connect(lambda _: self.rows[name].restore())
        self._run(task)

    def _export(self) -> None:
        file = self._desktop.new_file(
            self, title=self.tr("Export"), name=f"{_plain(self._model.id)}.json", kind=self.tr("JSON")
        )
        if file is not None:
            task = self._bridge.call(lambda: self._services.profiles.export(self._model.id), self)
            self._run(task, lambda exported: self._write(file, exported))

    def _write(self, file: Path, exported: dict[str, Any]) -> None:
        data = json.dumps(exported, indent=2).encode()
        self._run(self._bridge.submit(self._services.conversations.write_file(file, data), self))

    def _take(self) -> None:
        file = self._desktop.settings_file(self, title=self.tr("Take over settings"), kind=self.tr("JSON"))
        if file is None:
            return

        def take() -> None:
            try:
                exported = json.loads(file.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise InvalidRequest(f"{file.name} can't be read as settings: {error}.", param="file") from error
            self._services.profiles.take(self._model.id, exported if isinstance(exported, dict) else {})

        self._run(self._bridge.call(take, self))

    def _run(self, task: Task, then: Any = None) -> None:
        if then is not None:
            task.succeeded.connect(then)
        task.failed.connect(lambda error: self.banner.tell(sentence(error)))
        task.start()


class _Row:
    """Name, field, where the value comes from, and a button that takes it back."""

    def __init__(self, value: EffectiveValue, commit: Any) -> None:
        self.title = setting_text(value.name)
        self._value = value
        self._commit = commit
        self._name = label(self.title)
        self.field = self._make_field(value)
        self.field.setAccessibleName(self.title)
        self._source = label("", "caption")
        self.reset = tool_button("refresh", _tr("Take {0} back").format(self.title))
        self.reset.clicked.connect(lambda: commit(None))
        self.widgets = (self._name, self.field, self._source, self.reset)
        self.show_value(value)

    @property
    def is_set(self) -> bool:
        return self._value.source is ValueSource.MODEL

    def set_visible(self, visible: bool) -> None:
        for widget in self.widgets:
            widget.setVisible(visible)
        self.reset.setEnabled(self.is_set)

    def show_value(self, value: EffectiveValue) -> None:
        self._value = value
        self._source.setText(
            {
                ValueSource.MODEL: _tr("set here"),
                ValueSource.GENERAL: _tr("general"),
                ValueSource.FILE: _tr("from its file"),
                ValueSource.DEFAULT: _tr("default"),
            }[value.source]
        )
        self.reset.setEnabled(self.is_set)
        self.restore()

    def restore(self) -> None:
        """Show what holds."""
        own = _words(self._value.value) if self.is_set else ""
        otherwise = _words(self._value.otherwise) or _tr("empty")
        match self.field:
            case QComboBox() as box:
                box.blockSignals(True)
                box.setItemText(0, _tr("As usual ({0})").format(otherwise))
                box.setCurrentIndex(box.findText(own) if own else 0)
                box.blockSignals(False)
            case QPlainTextEdit() as text:
                text.setPlaceholderText(otherwise)
                if text.toPlainText() != own and not text.hasFocus():
                    text.setPlainText(own)
            case QLineEdit() as line:
                line.setPlaceholderText(otherwise)
                line.setText(own)

    def _make_field(self, value: EffectiveValue) -> QLineEdit | QComboBox | QPlainTextEdit:
        if value.name in _ON_OFF or value.name in _CHOICES:
            box = QComboBox()
            box.addItems(("", *(_CHOICES.get(value.name) or ("on", "off"))))
            box.activated.connect(lambda at: self._commit(self._read(box.itemText(at)) if at else None))
            return box
        if value.name in _LONG:
            return _Text(lambda typed: self._commit(typed or None))
        line = QLineEdit()
        line.editingFinished.connect(lambda: self._commit_line(line.text().strip()))
        return line

    def _commit_line(self, typed: str) -> None:
        if typed != (_words(self._value.value) if self.is_set else ""):
            self._commit(self._read(typed) if typed else None)

    def _read(self, typed: str) -> Any:
        if self._value.name in _ON_OFF:
            return typed == "on"
        try:
            return json.loads(typed)
        except ValueError:
            return typed


class _Text(QPlainTextEdit):
    """Several lines, told of when they are left."""

    def __init__(self, commit: Any) -> None:
        super().__init__()
        self._commit = commit
        self._before = ""
        self.setTabChangesFocus(True)
        self.setFixedHeight(72)

    def focusInEvent(self, event: Any) -> None:
        self._before = self.toPlainText()
        super().focusInEvent(event)

    def focusOutEvent(self, event: Any) -> None:
        super().focusOutEvent(event)
        if self.toPlainText() != self._before:
            self._commit(self.toPlainText().strip())


def setting_text(name: str) -> str:
    """What a setting is called."""
    known = {
        "n_ctx": _tr("Context size"),
        "n_parallel": _tr("Requests answered together"),
        "n_threads": _tr("Processor threads"),
        "gpu_layers": _tr("Layers on the graphics card"),
        "devices": _tr("Graphics cards"),
        "tensor_split": _tr("Share of each card"),
        "cache_type_k": _tr("Type of cached keys"),
        "cache_type_v": _tr("Type of cached values"),
        "flash_attention": _tr("Flash attention"),
        "n_batch": _tr("Batch size"),
        "n_ubatch": _tr("Physical batch size"),
        "use_mmap": _tr("Map the file"),
        "use_mlock": _tr("Keep in memory"),
        "rope_type": _tr("RoPE scaling"),
        "rope_factor": _tr("RoPE factor"),
        "rope_freq_base": _tr("RoPE base"),
        "rope_original_ctx": _tr("RoPE original context"),
        "adapters": _tr("Adapters (LoRA)"),
        "n_draft": _tr("Tokens guessed ahead"),
        "draft_model": _tr("Draft model"),
        "memory_check": _tr("Check memory first"),
        "keep_alive_s": _tr("Seconds an idle model stays"),
        "reasoning_effort": _tr("Thinking"),
        "reasoning_budget": _tr("Thinking at most (tokens)"),
        "chat_template": _tr("Chat template"),
        "system_prompt": _tr("System prompt"),
        "pinned": _tr("Never unload"),
        "sampling.temperature": _tr("Temperature"),
        "sampling.seed": _tr("Seed"),
        "sampling.repeat_penalty": _tr("Repeat penalty"),
        "sampling.frequency_penalty": _tr("Frequency penalty"),
        "sampling.presence_penalty": _tr("Presence penalty"),
    }
    # The rest are known by llama.cpp's names.
    return known.get(name, name.removeprefix("sampling."))


def _words(value: Any) -> str:
    """As it can be typed again."""
    match value:
        case None:
            return ""
        case bool():
            return "on" if value else "off"
        case str():
            return value
        case tuple():
            return json.dumps(value, default=_plain_value) if value else ""
        case _:
            return str(value)


def _plain_value(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in name)


def _tr(text: str) -> str:
    return QCoreApplication.translate("profile", text)
