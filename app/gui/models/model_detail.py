"""Everything about one installed model, and what can be done with it."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QGridLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.domain.fit import Fit, FitVerdict
from app.domain.models import Capability, InstalledModel, LoadedModel, ModelSource, ModelState, PartKind
from app.gui.controls import Banner, CopyButton, ElidedLabel, button, chip, clear, label
from app.gui.figures import capability_text, context_text, parameters_text, size_text, source_text
from app.gui.flow import FlowLayout
from app.gui.models.fit_words import fit_text
from app.gui.models.memory_bar import MemoryBars
from app.gui.models.model_list import state_text
from app.gui.theme import Theme

__all__ = ["FitCard", "ModelDetail"]

_TYPING_MS = 800


class ModelDetail(QScrollArea):
    """Shows what it is given and says what a person asked for; `ModelsPage` does it. Signals carry the model's id."""

    load_asked = Signal(str)
    options_asked = Signal(str)
    unload_asked = Signal(str)
    chat_asked = Signal(str)
    remove_asked = Signal(str)
    reveal_asked = Signal(str)
    settings_asked = Signal(str)
    verify_asked = Signal(str)
    repair_asked = Signal(str)
    instead_asked = Signal(str)
    note_changed = Signal(str, str)
    alias_added = Signal(str, str)
    alias_removed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("About the chosen model"))
        self._model: InstalledModel | None = None
        self._state = LoadedModel("", ModelState.UNLOADED)
        self._banner = Banner()
        self._name = label(role="heading", wrap=True)
        self._description = label(role="muted", wrap=True)
        self._chips = FlowLayout(gap=Theme.TIGHT)
        self._status = label(role="caption")
        self._progress = QProgressBar(textVisible=False, maximum=1000)
        self._progress.setAccessibleName(self.tr("Loading"))
        self._missing = Banner(problem=False)
        self._banner.acted.connect(lambda: self.instead_asked.emit(self._model.instead if self._model else ""))
        self._missing.acted.connect(lambda: self.repair_asked.emit(self._state.id))
        self._fit = FitCard()
        self._aliases = FlowLayout()
        self._alias_field = QLineEdit(placeholderText=self.tr("Another name, such as gpt-4o-mini"))
        self._alias_field.setAccessibleName(self.tr("Add another name for this model"))
        self._alias_field.setMaximumWidth(260)
        self._alias_field.returnPressed.connect(self._add_alias)
        self._note = QPlainTextEdit(placeholderText=self.tr("A note for yourself"))
        self._note.setAccessibleName(self.tr("Note on this model"))
        self._note.setTabChangesFocus(True)
        self._note.setFixedHeight(58)
        self._told_note = ""
        self._rest = QTimer(self, interval=_TYPING_MS, singleShot=True)
        self._rest.timeout.connect(self.flush)
        self._note.textChanged.connect(self._rest.start)
        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(Theme.ROOM)
        self._facts.setVerticalSpacing(Theme.GAP - 2)
        self._facts.setColumnStretch(1, 1)
        self._make_buttons()
        self._lay_out()
        self.hide()

    def _make_buttons(self) -> None:
        self.load_button = button(self.tr("Load"), "play", kind="primary", name=self.tr("Load this model into memory"))
        self.options_button = button(self.tr("Load with…"), name=self.tr("Choose how much context to load this model with"))
        self.unload_button = button(self.tr("Unload"), "eject", name=self.tr("Unload this model from memory"))
        self.chat_button = button(self.tr("Chat"), "chat", name=self.tr("Start a chat with this model"))
        self.settings_button = button(self.tr("Settings…"), "settings", name=self.tr("How this model is loaded and answers"))
        self.verify_button = button(self.tr("Check files"), "check", name=self.tr("Check that its files are unharmed"))
        self.reveal_button = button(self.tr("Show file"), "folder", name=self.tr("Show the file in its folder"))
        self.remove_button = button(self.tr("Remove…"), "trash", kind="danger", name=self.tr("Remove this model"))
        for made, signal in (
            (self.load_button, self.load_asked),
            (self.options_button, self.options_asked),
            (self.unload_button, self.unload_asked),
            (self.chat_button, self.chat_asked),
            (self.settings_button, self.settings_asked),
            (self.verify_button, self.verify_asked),
            (self.reveal_button, self.reveal_asked),
            (self.remove_button, self.remove_asked),
        ):
            made.clicked.connect(lambda _=False, ask=signal: ask.emit(self._state.id))

    def _lay_out(self) -> None:
        body = QWidget()
        body.setProperty("role", "page")
        column = QVBoxLayout(body)
        column.setContentsMargins(Theme.ROOM, Theme.TIGHT, Theme.ROOM, Theme.ROOM)
        column.setSpacing(Theme.PAD)
        actions, extras = FlowLayout(), FlowLayout()
        for made in (self.load_button, self.options_button, self.unload_button, self.chat_button, self.settings_button):
            actions.addWidget(made)
        for made in (self.reveal_button, self.verify_button, self.remove_button):
            extras.addWidget(made)
        column.addWidget(self._name)
        column.addLayout(self._chips)
        column.addWidget(self._description)
        column.addWidget(self._banner)
        column.addWidget(self._missing)
        column.addLayout(actions)
        column.addWidget(self._status)
        column.addWidget(self._progress)
        column.addWidget(self._fit)
        column.addLayout(self._facts)
        self._names = QWidget()
        self._names.setLayout(self._aliases)
        self._names.hide()
        column.addWidget(label(self.tr("Also called"), "muted"))
        column.addWidget(self._names)
        column.addWidget(self._alias_field)
        column.addWidget(self._note)
        column.addLayout(extras)
        column.addStretch()
        self.setWidget(body)

    @property
    def model(self) -> InstalledModel | None:
        return self._model

    def show_model(self, model: InstalledModel | None, state: LoadedModel) -> None:
        """Show a model, or nothing."""
        if self._model is not None and (model is None or model.id != self._model.id):
            self.flush()
            self._show_note("")
            self._fit.hide()
            self._alias_field.clear()
        self._model = model
        self.setVisible(model is not None)
        if model is None:
            return
        self._name.setText(model.name)
        self._description.setText(model.description)
        self._description.setVisible(bool(model.description))
        self._fill_chips(model)
        self._fill_facts(model)
        self.remove_button.setVisible(model.source in (ModelSource.LIBRARY, ModelSource.ADDED))
        self._show_missing(model)
        self.chat_button.setVisible(model.can(Capability.CHAT) and not model.problem)
        self.show_state(state)

    def show_fit(self, model_id: str, fit: Fit | None) -> None:
        """Whether the chosen model fits; None hides that."""
        if self._model is not None and model_id == self._model.id:
            self._fit.setVisible(fit is not None)
            if fit is not None:
                self._fit.show_fit(fit)

    def show_settings(self, note: str, aliases: tuple[str, ...], known: tuple[str, ...]) -> None:
        """What a person wrote about the chosen model; `known` are names that it has without their doing."""
        # What is being typed stays.
        if not self._rest.isActive() and self._note.toPlainText() != note:
            self._show_note(note)
        clear(self._aliases)
        for name in aliases:
            made = button(name.replace("&", "&&"), "close", kind="filter", name=self.tr("Take the name {0} away").format(name))
            made.clicked.connect(lambda _=False, name=name: self.alias_removed.emit(name))
            self._aliases.addWidget(made)
        for name in known:
            self._aliases.addWidget(chip(name))
        self._names.setVisible(bool(aliases or known))

    @property
    def is_too_large(self) -> bool:
        """Whether the chosen model is known not to fit."""
        return not self._fit.isHidden() and self._fit.is_too_large

    def flush(self) -> None:
        """Tell of a note that was typed and not told of yet."""
        self._rest.stop()
        note = self._note.toPlainText().strip()
        if self._model is not None and note != self._told_note:
            self._told_note = note
            self.note_changed.emit(self._model.id, note)

    def _show_note(self, note: str) -> None:
        self._told_note = note
        self._note.setPlainText(note)
        self._rest.stop()

    def _add_alias(self) -> None:
        name = self._alias_field.text().strip()
        if name and self._model is not None:
            self.alias_added.emit(self._model.id, name)
            self._alias_field.clear()

    def _show_missing(self, model: InstalledModel) -> None:
        if not model.missing:
            self._missing.tell("")
            return
        names = {
            PartKind.PROJECTOR: self.tr("The projector, by which it sees or hears, is missing"),
            PartKind.SHARD: self.tr("Parts of its file are missing"),
            PartKind.DRAFT: self.tr("Its draft model is missing"),
        }
        size = sum(part.size_bytes for part in model.missing)
        words = ". ".join(dict.fromkeys(names[part.kind] for part in model.missing))
        text = self.tr("{0}: {1}.").format(words, size_text(size)) if size else f"{words}."
        can_get = any(part.repository for part in model.missing) or model.repository
        self._missing.tell(text, self.tr("Get it") if can_get else "")

    def show_state(self, state: LoadedModel) -> None:
        """Show where the model is now: in memory, on its way there, or not."""
        self._state = state
        if self._model is None:
            return
        problem = self._model.problem or (state.error if state.state is ModelState.FAILED else None)
        self._banner.tell(problem or "", self.tr("Get it") if self._model.instead else "")
        loading = state.state is ModelState.LOADING
        # Whoever presses one of these by the keyboard stays there: it gives way to the other, and is never disabled meanwhile.
        had_focus = self.load_button.hasFocus() or self.unload_button.hasFocus()
        in_memory = state.state in (ModelState.READY, ModelState.LOADING, ModelState.UNLOADING)
        self.load_button.setVisible(not in_memory)
        self.load_button.setEnabled(not self._model.problem)
        self.options_button.setVisible(not in_memory and not self._model.problem)
        self.unload_button.setVisible(in_memory)
        self.unload_button.setText(self.tr("Cancel") if loading else self.tr("Unload"))
        if had_focus:
            (self.unload_button if in_memory else self.load_button).setFocus()
        self._fit.show_words(not in_memory)
        self._progress.setVisible(loading)
        self._progress.setValue(round(state.progress * 1000))
        self._status.setText(self._status_text(state))
        self._status.setVisible(in_memory)

    def _status_text(self, state: LoadedModel) -> str:
        text = state_text(state)
        if state.state is ModelState.READY and state.n_ctx:
            text = self.tr("{0} with a context of {1}").format(text, context_text(state.n_ctx))
        if state.active_requests:
            text = self.tr("{0}. Requests under way: {1}").format(text, state.active_requests)
        return text

    def _fill_chips(self, model: InstalledModel) -> None:
        clear(self._chips)
        for capability in Capability:
            if model.can(capability):
                role = "badge" if capability is Capability.VISION else "chip"
                self._chips.addWidget(chip(capability_text(capability), role))

    def _fill_facts(self, model: InstalledModel) -> None:
        clear(self._facts)
        rows = (
            (self.tr("Name for programs"), model.id),
            (self.tr("Size"), size_text(model.size_bytes)),
            (self.tr("Quantization"), model.quantization or self.tr("not stated")),
            (self.tr("Parameters"), parameters_text(model.parameters)),
            (self.tr("Context length"), context_text(model.n_ctx_train)),
            (self.tr("Architecture"), model.architecture or self.tr("not stated")),
            (self.tr("Licence"), model.license or self.tr("not stated")),
            (self.tr("Source"), source_text(model.source)),
            (self.tr("File"), str(model.path)),
        )
        for row, (what, value) in enumerate(rows):
            self._facts.addWidget(label(what, "muted"), row, 0, Qt.AlignmentFlag.AlignVCenter)
            shown = ElidedLabel(value)
            self._facts.addWidget(shown, row, 1)
            if row == 0:
                self._facts.addWidget(CopyButton(lambda: model.id, self.tr("Copy the name for programs"), small=True), row, 2)


class FitCard(QWidget):
    """Whether a model fits, in a word and a sentence, and what it would take."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.is_too_large = False
        self._words = label("", wrap=True)
        self._bars = MemoryBars()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.GAP)
        column.addWidget(self._words)
        column.addWidget(self._bars)
        self.hide()

    def show_words(self, shown: bool) -> None:
        """Whether it would fit is no question for a model that is in memory; what it takes still is."""
        self._words.setVisible(shown)

    def show_fit(self, fit: Fit) -> None:
        self.is_too_large = fit.verdict is FitVerdict.TOO_LARGE
        self._words.setText(f"{fit_text(fit)}.")
        self._words.setProperty("role", "error" if self.is_too_large else "")
        self._words.style().polish(self._words)
        self._bars.show_fit(fit)
