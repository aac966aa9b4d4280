"""Everything that can be set for one model: what holds, where that comes from, and taking it elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.domain.models import InstalledModel
from app.gui.bridge import Bridge, Task
from app.gui.controls import Banner, Card, ElidedLabel, button, label
from app.gui.desktop import Desktop, file_name
from app.gui.errors import sentence
from app.gui.icons import IconRole, icon
from app.gui.models.profile_row import ProfileRow
from app.gui.models.profile_settings import Group, groups
from app.gui.theme import Theme
from app.service.model_profiles import EffectiveValue
from app.service.services import Services

__all__ = ["ProfileDialog"]

# A person's own words are not what "everything" means.
_KEPT: Final = "note"
_LEAST_WIDTH: Final = 480


class ProfileDialog(QDialog):
    """Made once per page and shown with `ask`. A setting is kept as soon as it is committed; there is nothing to confirm."""

    def __init__(
        self, services: Services, bridge: Bridge, parent: QWidget | None = None, *, desktop: Desktop | None = None
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._desktop = desktop or Desktop()
        self._model_id = ""
        self.rows: dict[str, ProfileRow] = {}
        self._cards: list[tuple[Card, list[ProfileRow]]] = []
        self._waiting: list[Group] = []
        self._values: dict[str, EffectiveValue] = {}
        self.resize(680, 700)
        self._make_head()
        self._make_foot()
        self._lay_out()
        bridge.watch(services.settings.changed, lambda _: self._refresh())

    def _make_head(self) -> None:
        self._title = ElidedLabel(role="heading")
        self.field = QLineEdit(placeholderText=self.tr("Find a setting"), clearButtonEnabled=True)
        self.field.setAccessibleName(self.tr("Find a setting"))
        self.field.addAction(
            QAction(icon("search", role=IconRole.MUTED), "", self.field), QLineEdit.ActionPosition.LeadingPosition
        )
        self.only_set = button(self.tr("Set here"), kind="filter", name=self.tr("Show only what is set for this model"))
        self.only_set.setCheckable(True)
        self.field.textChanged.connect(self._filter)
        self.only_set.toggled.connect(self._filter)
        self.banner = Banner()

    def _make_foot(self) -> None:
        self.import_button = button(self.tr("Import…"), name=self.tr("Take settings over from a file"))
        self.export_button = button(self.tr("Export…"), name=self.tr("Save what is set for this model to a file"))
        self.reset_button = button(self.tr("Take all back…"), kind="danger", name=self.tr("Take back all that is set here"))
        self.close_button = button(self.tr("Close"), kind="primary")
        self.import_button.clicked.connect(self._import)
        self.export_button.clicked.connect(self._export)
        self.reset_button.clicked.connect(self._reset_all)
        self.close_button.clicked.connect(self.accept)
        for made in (self.import_button, self.export_button, self.reset_button, self.close_button, self.only_set):
            # Enter commits a line; it must not press a button besides.
            made.setAutoDefault(False)

    def _lay_out(self) -> None:
        self._page = QVBoxLayout()
        self._nothing = label(role="muted", wrap=True)
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._body = body = QWidget()
        body.setProperty("role", "page")
        inside = QVBoxLayout(body)
        inside.setContentsMargins(0, 0, Theme.GAP, 0)
        inside.addLayout(self._page)
        inside.addWidget(self._nothing)
        inside.addStretch()
        self._page.setSpacing(Theme.PAD)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setMinimumSize(_LEAST_WIDTH, 200)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setAccessibleName(self.tr("Settings of the model"))
        self._scroll.setWidget(body)
        find, foot = QHBoxLayout(), QHBoxLayout()
        find.setSpacing(Theme.GAP)
        find.addWidget(self.field, 1)
        find.addWidget(self.only_set)
        for made in (self.import_button, self.export_button, self.reset_button):
            foot.addWidget(made)
        foot.addStretch()
        foot.addWidget(self.close_button)
        hint = self.tr(
            "For this model alone. Grey is what holds as long as nothing is set here. Takes effect with the next message."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(Theme.WIDE, Theme.ROOM, Theme.ROOM, Theme.ROOM)
        column.setSpacing(Theme.PAD)
        column.addWidget(self._title)
        column.addWidget(label(hint, "caption", wrap=True))
        column.addWidget(self.banner)
        column.addLayout(find)
        column.addWidget(self._scroll, 1)
        column.addLayout(foot)

    def ask(self, model: InstalledModel) -> None:
        """Show a model's settings."""
        self._model_id = model.id
        self.setWindowTitle(self.tr("Settings of {0}").format(model.name))
        self._title.set_full_text(model.name)
        self.banner.tell("")
        self.field.clear()
        self.only_set.setChecked(False)
        self._fill(model)
        self.open()
        self.field.setFocus()
        self._refresh()

    def _fill(self, model: InstalledModel) -> None:
        """Begin anew. One group after the other, so that nothing else has to wait for all of them."""
        for card, _ in self._cards:
            card.hide()
            card.deleteLater()
        self._cards, self.rows, self._values = [], {}, {}
        self._waiting = list(groups(model))
        self._scroll.verticalScrollBar().setValue(0)
        self._fill_next()

    def _fill_next(self) -> None:
        if not self._waiting:
            # With large letters they need more width than the window had.
            bar = self._scroll.verticalScrollBar().sizeHint().width()
            self._scroll.setMinimumWidth(max(_LEAST_WIDTH, self._body.minimumSizeHint().width() + bar))
            return
        group = self._waiting.pop(0)
        card, rows = Card(), []
        card.body.setSpacing(Theme.PAD)
        card.body.addWidget(label(group.title, "heading"))
        for setting in group.settings:
            row = ProfileRow(setting, self._desktop)
            row.changed.connect(partial(self._save, setting.name))
            card.body.addWidget(row)
            rows.append(row)
            self.rows[setting.name] = row
        self._page.addWidget(card)
        self._cards.append((card, rows))
        self._show_values(rows)
        QTimer.singleShot(0, self, self._fill_next)

    # What holds

    def _refresh(self) -> None:
        if self.isVisible():
            model_id = self._model_id
            task = self._bridge.submit(self._services.profiles.effective(model_id), self)
            task.succeeded.connect(lambda values: self._show(model_id, values))
            self._start(task)

    def _show(self, model_id: str, values: tuple[EffectiveValue, ...]) -> None:
        if model_id == self._model_id:
            self._values = {value.name: value for value in values}
            self._show_values(self.rows.values())

    def _show_values(self, rows: Iterable[ProfileRow]) -> None:
        for row in rows:
            if (value := self._values.get(row.setting.name)) is not None:
                row.show_value(value)
        n_set = sum(row.is_set for row in self.rows.values())
        self.only_set.setText(self.tr("Set here ({0})").format(n_set) if n_set else self.tr("Set here"))
        self.reset_button.setEnabled(bool(self._set_names()))
        self._filter()

    def _filter(self) -> None:
        words, only_set = self.field.text().strip().casefold(), self.only_set.isChecked()
        n_shown = 0
        for card, rows in self._cards:
            shown = [row for row in rows if row.matches(words) and (row.is_set or not only_set)]
            for row in rows:
                row.setVisible(row in shown)
            card.setVisible(bool(shown))
            n_shown += len(shown)
        nothing = self.tr("No setting is called that.") if words else self.tr("Nothing is set for this model.")
        self._nothing.setText(nothing)
        self._nothing.setVisible(not n_shown)

    def _set_names(self) -> list[str]:
        return [name for name, row in self.rows.items() if row.is_set and name != _KEPT]

    # What a person does

    def _save(self, name: str, value: Any) -> None:
        row, model_id = self.rows[name], self._model_id
        task = self._bridge.call(lambda: self._services.profiles.update(model_id, {name: value}), row)
        task.failed.connect(lambda error: row.tell(sentence(error)))
        row.tell("")
        task.start()

    def _reset_all(self) -> None:
        names, model_id = self._set_names(), self._model_id
        titles = ", ".join(self.rows[name].setting.title for name in names)
        if self._desktop.confirm(
            self,
            title=self.tr("Take all back"),
            text=self.tr("Take back all that is set for this model?"),
            details=titles,
            action=self.tr("Take back"),
        ):
            changes = dict.fromkeys(names)
            self._start(self._bridge.call(lambda: self._services.profiles.update(model_id, changes), self))

    def _export(self) -> None:
        name = f"{file_name(self._model_id)}.json"
        file = self._desktop.new_file(self, title=self.tr("Export settings"), name=name, kind=self.tr("Settings of a model"))
        if file is not None:
            self._flush()
            self._start(self._bridge.submit(self._services.profiles.write_export(self._model_id, file), self))

    def _import(self) -> None:
        file = self._desktop.settings_file(self, title=self.tr("Import settings"), kind=self.tr("Settings of a model"))
        if file is not None:
            self._start(self._bridge.submit(self._services.profiles.take_file(self._model_id, file), self))

    def _start(self, task: Task) -> None:
        self.banner.tell("")
        task.failed.connect(lambda error: self.banner.tell(sentence(error)))
        task.start()

    def _flush(self) -> None:
        for row in self.rows.values():
            row.flush()

    def done(self, result: int) -> None:
        """What was typed is kept. Close stays open over what can't be; Escape gives that up."""
        self._flush()
        wrong = [row for row in self.rows.values() if row.error]
        if wrong and result == QDialog.DialogCode.Accepted:
            self._scroll.ensureWidgetVisible(wrong[0])
            wrong[0].editor.setFocus()
            return
        super().done(result)
