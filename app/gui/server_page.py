"""The server page: on or off, where it is, how to talk to it, and who does."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontDatabase
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QScrollArea,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.domain.errors import AddressInUse
from app.domain.models import LoadedModel, ModelState
from app.gui.bridge import Bridge, Task
from app.gui.controls import Banner, Card, CopyButton, Switch, label
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.server.callers import AllowedCallers, RefusedCallers
from app.gui.server.code_view import CodeView
from app.gui.server.control import change_server, switch_server
from app.gui.server.fallback import FallbackField
from app.gui.server.keys_card import KeysCard
from app.gui.server.requests import RequestsModel
from app.gui.server.snippets import snippets
from app.gui.theme import Theme
from app.service.activity import RequestRecord
from app.service.server_control import ServerState
from app.service.services import Services
from app.settings import Settings

__all__ = ["ServerPage"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LANGUAGES = ("Python", "JavaScript", "curl")


class ServerPage(QScrollArea):
    """Shows and switches the API server, which it knows through `Services.server` alone."""

    def __init__(
        self, services: Services, bridge: Bridge, parent: QWidget | None = None, *, desktop: Desktop | None = None
    ) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("Server"))
        self._services = services
        self._bridge = bridge
        self._free_port: int | None = None
        self._settings = Settings()
        self._state = ServerState(running=False)
        self._model = self._settings.last_model
        self.switch = Switch(self.tr("Server on or off"))
        self.state_label = label(role="muted")
        self.address = QLabel()
        self.copy_button = CopyButton(lambda: self.address.text(), self.tr("Copy the address"))
        self.banner = Banner()
        self.reach = label(role="caption", wrap=True)
        self.refused = RefusedCallers(services, bridge)
        self.keys = KeysCard(services, bridge, desktop or Desktop())
        self.allowed = AllowedCallers(services, bridge)
        self.fallback = FallbackField(services, bridge)
        self.tabs = QTabWidget()
        self.code = {language: self._code_view(language) for language in _LANGUAGES}
        self.requests = RequestsModel(self)
        self.table = self._make_table()
        self._nobody = label(self.tr("No requests yet. They appear here as programs talk to the server."), "muted")
        self._lay_out()
        self._connect()
        self._show_address()

    def _code_view(self, language: str) -> CodeView:
        made = CodeView(self.tr("Example in {0}").format(language), self.tr("Copy the {0} example").format(language))
        self.tabs.addTab(made, language)
        return made

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.requests)
        table.setAccessibleName(self.tr("Latest requests"))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        table.setWordWrap(False)
        font = table.font()
        font.setPointSizeF(Theme.current().caption_pt)
        table.setFont(font)
        table.setMinimumHeight(220)
        table.verticalHeader().hide()
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(56)
        table.hide()
        return table

    def _lay_out(self) -> None:
        page = QWidget()
        page.setProperty("role", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(Theme.WIDE, Theme.ROOM, Theme.WIDE, Theme.WIDE)
        column.setSpacing(Theme.PAD)
        column.addWidget(label(self.tr("Server"), "title"))
        what = self.tr("Other programs on this computer can use your models through this OpenAI-compatible address.")
        column.addWidget(label(what, "muted", wrap=True))
        column.addWidget(self.banner)
        column.addWidget(self.refused)
        column.addWidget(self._address_card())
        column.addWidget(self._names_card())
        column.addWidget(self._examples_card())
        column.addWidget(self.keys)
        column.addWidget(self.allowed)
        column.addWidget(self._requests_card())
        column.addStretch()
        page.setMaximumWidth(Theme.PAGE)
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.setWidget(page)

    def _address_card(self) -> Card:
        card = Card()
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(Theme.current().heading_pt)
        font.setWeight(QFont.Weight.DemiBold)
        self.address.setFont(font)
        self.address.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.address.setAccessibleName(self.tr("Address of the server"))
        top = QHBoxLayout()
        top.addWidget(self.address)
        top.addWidget(self.copy_button)
        top.addStretch()
        top.addWidget(self.state_label)
        top.addWidget(self.switch)
        card.body.addLayout(top)
        card.body.addWidget(self.reach)
        return card

    def _names_card(self) -> Card:
        card = Card()
        card.body.addWidget(self.fallback)
        return card

    def _examples_card(self) -> Card:
        card = Card()
        card.body.addWidget(label(self.tr("Use it from your code"), "heading"))
        self.tabs.tabBar().setAccessibleName(self.tr("Language of the example"))
        card.body.addWidget(self.tabs)
        return card

    def _requests_card(self) -> Card:
        card = Card()
        card.body.addWidget(label(self.tr("Latest requests"), "heading"))
        card.body.addWidget(self._nobody)
        card.body.addWidget(self.table)
        return card

    def _connect(self) -> None:
        self.switch.clicked.connect(self._switch)
        self.banner.acted.connect(self._act)
        services = self._services
        self._bridge.watch(services.server.changed, self._show_state)
        self._bridge.watch(services.settings.changed, self.show_settings)
        self._bridge.watch(services.activity.changed, self._show_request)
        self._bridge.watch(services.models.changed, self._show_model)
        task = self._bridge.call(lambda: (services.settings.current, services.server.state, services.activity.records), self)
        task.succeeded.connect(self._show_all)
        task.start()

    # What there is

    def _show_all(self, found: tuple[Settings, ServerState, tuple[RequestRecord, ...]]) -> None:
        settings, state, records = found
        self.show_settings(settings)
        self._show_state(state)
        for record in records:
            self._show_request(record)

    def show_settings(self, settings: Settings) -> None:
        """Take note of the port, who may use it, and the model to name."""
        self._settings = settings
        self._model = settings.last_model
        self.keys.show_settings(settings)
        self.allowed.show_settings(settings)
        self._show_address()

    def _show_state(self, state: ServerState) -> None:
        self._state = state
        self._rest()
        if state.running:
            self._free_port = None
            self.banner.tell("")
        elif state.error and self._free_port is None:
            self.banner.tell(state.error, self.tr("Try again"))
        self._show_address()

    def _show_address(self) -> None:
        address = self._state.address or f"http://{self._settings.host}:{self._settings.port}/v1"
        self.address.setText(address)
        self.address.setEnabled(self._state.running)
        beyond = self._settings.host not in _LOOPBACK
        self.reach.setText(
            self.tr("Other computers can reach the server; every program needs a key.")
            if beyond
            else self.tr("Only this computer can reach the server.")
        )
        has_key = beyond or self._settings.require_api_key or bool(self._settings.api_key)
        for snippet in snippets(address=address, model=self._model, has_key=has_key):
            self.code[snippet.language].set_code(snippet.code)

    def _show_model(self, state: LoadedModel) -> None:
        if state.state is ModelState.READY and state.id != self._model:
            self._model = state.id
            self._show_address()

    def _show_request(self, record: RequestRecord) -> None:
        self._nobody.hide()
        self.table.show()
        self.requests.put(record)

    # What a person does

    def _switch(self, on: bool) -> None:
        self.switch.setEnabled(False)
        self.state_label.setText(self.tr("Starting…") if on else self.tr("Stopping…"))
        self._run_task(self._bridge.submit(switch_server(self._services, on=on), self))

    def _act(self) -> None:
        """Do what the banner offers: take the free port, or try again."""
        if self._free_port is not None:
            port, self._free_port = self._free_port, None
            self._run_task(self._bridge.submit(change_server(self._services, port=port, server_enabled=True), self))
        else:
            self._switch(True)

    def _run_task(self, task: Task) -> None:
        self.banner.tell("")
        task.succeeded.connect(lambda _: self._rest())
        task.failed.connect(self.show_failure)
        task.start()

    def _rest(self) -> None:
        """Show what is, not what was asked for."""
        self.switch.setEnabled(True)
        self.switch.setChecked(self._state.running)
        self.state_label.setText(self.tr("On") if self._state.running else self.tr("Off"))

    def show_failure(self, error: Exception) -> None:
        """Say why the server could not be started; offer another port if that is what it takes."""
        self._rest()
        if isinstance(error, AddressInUse):
            self._free_port = error.free_port
            self.banner.tell(sentence(error), self.tr("Use port {0}").format(error.free_port))
        else:
            self.banner.tell(sentence(error))
