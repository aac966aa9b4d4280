"""The settings page. A setting is saved when it is committed; there is nothing to confirm."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from app.domain.errors import AddressInUse
from app.gui.bridge import Bridge, Task
from app.gui.controls import Banner, Card, label
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.server.control import change_server
from app.gui.settings.fields import (
    ChoiceField,
    SwitchField,
    TextField,
    automatic_number,
    gpu_layers,
    hub_address,
    minutes,
    proxy,
    speed_limit,
    whole_number,
)
from app.gui.settings.folders import FoldersField
from app.gui.settings.hub_test import HubTestRow
from app.gui.settings.hub_token import TokenField
from app.gui.settings.own_folder import OwnFolderField
from app.gui.theme import Theme
from app.service.services import Services
from app.settings import Settings

__all__ = ["SettingsPage"]

_Field: TypeAlias = TextField | ChoiceField | SwitchField | FoldersField
_TYPING_MS = 800


class SettingsPage(QScrollArea):
    """Shows `Services.settings` and changes them on the service loop. What a change leads to is the listeners' business."""

    def __init__(
        self, services: Services, bridge: Bridge, parent: QWidget | None = None, *, desktop: Desktop | None = None
    ) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("Settings"))
        self._services = services
        self._bridge = bridge
        self._desktop = desktop or Desktop()
        self.banner = Banner()
        self.fields: dict[str, _Field] = {}
        self.prompt = self._make_prompt()
        self._lay_out()
        self._bridge.watch(services.settings.changed, self.show_settings)
        task = bridge.call(lambda: services.settings.current, self)
        task.succeeded.connect(self.show_settings)
        task.start()

    def _make_prompt(self) -> QPlainTextEdit:
        made = QPlainTextEdit(placeholderText=self.tr("For example: Answer briefly, and in British English."))
        made.setAccessibleName(self.tr("Instructions for every chat"))
        made.setTabChangesFocus(True)
        made.setFixedHeight(96)
        # Typed text is saved when the person rests; leaving the field is not always noticed.
        self._rest = QTimer(self, interval=_TYPING_MS, singleShot=True)
        self._rest.timeout.connect(lambda: self._save("system_prompt", made.toPlainText()))
        made.textChanged.connect(self._rest.start)
        return made

    def _lay_out(self) -> None:
        page = QWidget()
        page.setProperty("role", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(Theme.WIDE, Theme.ROOM, Theme.WIDE, Theme.WIDE)
        column.setSpacing(Theme.PAD)
        column.addWidget(label(self.tr("Settings"), "title"))
        column.addWidget(self.banner)
        for card in (self._window_card(), self._models_card(), self._hub_card(), self._engine_card(), self._server_card()):
            column.addWidget(card)
        column.addStretch(1)
        page.setMaximumWidth(Theme.PAGE)
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.setWidget(page)

    def _window_card(self) -> Card:
        themes = (
            ("system", self.tr("System"), "monitor"),
            ("light", self.tr("Light"), "sun"),
            ("dark", self.tr("Dark"), "moon"),
        )
        card = self._card(self.tr("Window and chat"))
        self._add(card, "theme", ChoiceField(self.tr("Appearance"), themes))
        name = label(self.tr("Instructions for every chat"))
        name.setBuddy(self.prompt)
        hint = self.tr("The model reads this first, in every chat, from your next message on.")
        group = QVBoxLayout()
        group.setSpacing(Theme.TIGHT)
        for widget in (name, label(hint, "caption", wrap=True), self.prompt):
            group.addWidget(widget)
        card.body.addLayout(group)
        return card

    def _models_card(self) -> Card:
        card = self._card(self.tr("Models"))
        self.own_folder = OwnFolderField(self._services, self._bridge, self._desktop)
        self.own_folder.failed.connect(self.banner.tell)
        card.body.addWidget(self.own_folder)
        self._add(card, "models_folders", FoldersField(self._desktop))
        hint = self.tr("Ollama, LM Studio, Hugging Face's cache, llama.cpp, Jan and GPT4All: used where they are.")
        self._add(card, "other_stores", SwitchField(self.tr("Models of other programs"), hint))
        return card

    def _hub_card(self) -> Card:
        card = self._card(self.tr("Hub"))
        self._add(
            card,
            "hub_offline",
            SwitchField(
                self.tr("Stay offline"),
                self.tr("The hub is asked for nothing, and downloads wait, until this is switched off again."),
            ),
        )
        self._add(
            card,
            "hub_endpoint",
            TextField(
                self.tr("Address of the hub"),
                parse=hub_address,
                hint=self.tr("Where models are looked for and downloaded from; a mirror will do."),
                wide=True,
            ),
        )
        self._add(
            card,
            "hub_proxy",
            TextField(
                self.tr("Proxy"),
                parse=proxy,
                placeholder=self.tr("the system's"),
                hint=self.tr("On the way to the hub: an http, https or socks5 address."),
                wide=True,
            ),
        )
        self.token = TokenField(self._services, self._bridge)
        self.test = HubTestRow(self._services, self._bridge)
        card.body.addWidget(self.token)
        card.body.addWidget(self.test)
        self._add(
            card,
            "simultaneous_downloads",
            TextField(
                self.tr("Downloads at once"),
                parse=whole_number(1, 16),
                hint=self.tr("Others wait for their turn."),
            ),
        )
        self._add(
            card,
            "download_connections",
            TextField(
                self.tr("Connections for one large file"),
                parse=whole_number(1, 16),
                hint=self.tr("More can be faster over a long way. Some networks allow only one."),
            ),
        )
        self._add(
            card,
            "download_limit_mb_s",
            TextField(
                self.tr("Speed limit, in megabytes a second"),
                parse=speed_limit,
                show=lambda limit: f"{limit:g}" if limit else "",
                placeholder=self.tr("none"),
                hint=self.tr("For all downloads together."),
            ),
        )
        return card

    def _engine_card(self) -> Card:
        card = self._card(self.tr("Running models"))
        hint = self.tr("A model that is loaded takes these on with the next message: it is loaded again then.")
        card.body.addWidget(label(hint, "caption", wrap=True))
        automatic = self.tr("automatic")
        number = partial(TextField, placeholder=automatic, show=_number_or_nothing)
        self._add(
            card,
            "n_ctx",
            number(
                self.tr("Context size, in tokens"),
                parse=automatic_number(256, 10_000_000),
                hint=self.tr("How much of a conversation the model can read at once. More takes more memory."),
            ),
        )
        self._add(
            card,
            "gpu_layers",
            TextField(
                self.tr("Layers on the graphics card"),
                parse=gpu_layers,
                show=lambda value: "" if value == "auto" else str(value),
                placeholder=automatic,
                hint=self.tr("0 runs the model on the processor alone."),
            ),
        )
        self._add(
            card,
            "n_threads",
            number(
                self.tr("Processor threads"),
                parse=automatic_number(1, 512),
                hint=self.tr("As many as the processor has real cores is best for most computers."),
            ),
        )
        self._add(
            card,
            "n_parallel",
            TextField(
                self.tr("Requests answered together"),
                parse=whole_number(1, 64),
                hint=self.tr("Others wait for their turn. More takes more memory."),
            ),
        )
        self._add(
            card,
            "max_loaded_models",
            TextField(
                self.tr("Models kept in memory"),
                parse=whole_number(1, 16),
                hint=self.tr("The one used longest ago makes room for the next."),
            ),
        )
        self._add(
            card,
            "keep_alive_s",
            TextField(
                self.tr("Minutes that an idle model stays in memory"),
                parse=minutes,
                show=lambda seconds: "" if seconds < 0 else f"{seconds / 60:g}",
                placeholder=self.tr("for ever"),
                hint=self.tr("0 unloads it after each answer; the next one then has to wait."),
            ),
        )
        return card

    def _server_card(self) -> Card:
        card = self._card(self.tr("Server"))
        port = TextField(
            self.tr("Port"),
            parse=whole_number(0, 65535),
            hint=self.tr("Programs find the server here. 0 takes any free port. A running server moves at once."),
        )
        self._add(card, "port", port)
        return card

    def _card(self, title: str) -> Card:
        card = Card()
        card.body.setSpacing(Theme.PAD)
        card.body.addWidget(label(title, "heading"))
        return card

    def _add(self, card: Card, setting: str, field: _Field) -> None:
        self.fields[setting] = field
        card.body.addWidget(field)
        field.changed.connect(lambda value: self._save(setting, value))

    def show_settings(self, settings: Settings) -> None:
        self.own_folder.set_value(settings.models_folder)
        for name, field in self.fields.items():
            field.set_value(getattr(settings, name))
        if not self._rest.isActive() and self.prompt.toPlainText() != settings.system_prompt:
            self.prompt.setPlainText(settings.system_prompt)
            self._rest.stop()

    def flush(self) -> None:
        """Save what was typed a moment ago. Call before the window closes."""
        if self._rest.isActive():
            self._rest.stop()
            self._save("system_prompt", self.prompt.toPlainText())

    def _save(self, setting: str, value: Any) -> None:
        self.banner.tell("")
        task: Task
        if setting == "port":
            task = self._bridge.submit(change_server(self._services, port=value), self)
        else:
            task = self._bridge.call(lambda: self._services.settings.update(**{setting: value}), self)
        if setting in ("models_folders", "other_stores"):
            task.succeeded.connect(lambda _: self._bridge.submit(self._services.library.refresh(), self).start())
        task.failed.connect(lambda error: self._fail(setting, error))
        task.start()

    def _fail(self, setting: str, error: Exception) -> None:
        """Say it at the field where that is possible."""
        text = sentence(error)
        if isinstance(error, AddressInUse):
            text = self.tr("{0} The port is saved; the Server page offers the free one.").format(text)
        field = self.fields.get(setting)
        if isinstance(field, TextField):
            field.tell(text)
        else:
            self.banner.tell(text)


def _number_or_nothing(value: int) -> str:
    return str(value) if value else ""
