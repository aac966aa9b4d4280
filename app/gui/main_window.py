"""The main window: the sidebar, the pages, a status line, and what closing means."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSettings, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.gui.bridge import Bridge
from app.gui.chat.conversation_list import ConversationList
from app.gui.chat.page import ChatPage
from app.gui.controls import ElidedLabel
from app.gui.desktop import Desktop
from app.gui.icons import TrayState
from app.gui.models_page import ModelsPage
from app.gui.server_page import ServerPage
from app.gui.settings_page import SettingsPage
from app.gui.sidebar import Page, Sidebar
from app.gui.status import Status
from app.gui.theme import Theme
from app.service.services import Services
from app.settings import Settings

__all__ = ["MainWindow"]

_SIDEBAR_WIDTH = 248
_NARROW_SIDEBAR_WIDTH = 208
_NARROW = 900


class MainWindow(QMainWindow):
    """Lives on the Qt thread. It never ends the program by itself: `quit_asked` says that the person wants to."""

    quit_asked = Signal()

    def __init__(
        self, services: Services, bridge: Bridge, *, tray_available: Callable[[], bool], desktop: Desktop | None = None
    ) -> None:
        super().__init__()
        self._services = services
        self._bridge = bridge
        self._tray_available = tray_available
        self._desktop = desktop or Desktop()
        self._settings = Settings()
        self._status = Status()
        self._quitting = False
        self._told_about_tray = False
        self.setWindowTitle("Hearth")
        self.setMinimumSize(640, 440)
        self.chat = ChatPage(services, bridge)
        self.conversations = ConversationList(services, bridge, desktop=self._desktop)
        self.models = ModelsPage(services, bridge, desktop=self._desktop)
        self.server = ServerPage(services, bridge, desktop=self._desktop)
        self.settings = SettingsPage(services, bridge, desktop=self._desktop)
        self.sidebar = Sidebar(self.conversations)
        self.pages = QStackedWidget()
        self.model_status = ElidedLabel(role="caption")
        self.server_status = ElidedLabel(role="caption")
        self._lay_out()
        self._connect()
        self._add_shortcuts()
        self._restore_geometry()
        self.show_status(self._status)
        self.new_chat()

    def _lay_out(self) -> None:
        for page in (self.chat, self.models, self.server, self.settings):
            self.pages.addWidget(page)
        middle = QWidget()
        right = QVBoxLayout(middle)
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addWidget(self.pages, 1)
        right.addWidget(self._status_line())
        body = QWidget()
        row = QHBoxLayout(body)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        row.addWidget(middle, 1)
        self.setCentralWidget(body)

    def _status_line(self) -> QFrame:
        line = QFrame()
        line.setProperty("role", "status")
        row = QHBoxLayout(line)
        row.setContentsMargins(Theme.WIDE, Theme.TIGHT, Theme.WIDE, Theme.TIGHT)
        self.server_status.setAlignment(Qt.AlignmentFlag.AlignRight)
        row.addWidget(self.model_status, 3)
        row.addWidget(self.server_status, 2)
        return line

    def _connect(self) -> None:
        self.sidebar.page_asked.connect(self.show_page)
        self.sidebar.new_chat_asked.connect(self.new_chat)
        self.conversations.opened.connect(self._open_chat)
        self.conversations.found.connect(self._show_found)
        self.chat.conversation_opened.connect(self.conversations.select)
        self.chat.models_page_wanted.connect(lambda: self.show_page(Page.MODELS))
        self.models.chat_asked.connect(self._chat_with)
        self._bridge.watch(self._services.settings.changed, self._take_settings)
        task = self._bridge.call(lambda: self._services.settings.current, self)
        task.succeeded.connect(self._take_settings)
        task.start()

    def _add_shortcuts(self) -> None:
        shortcuts: tuple[tuple[str, QKeySequence, Callable[[], None]], ...] = (
            (self.tr("Chat"), QKeySequence("Ctrl+1"), lambda: self.show_page(Page.CHAT)),
            (self.tr("Models"), QKeySequence("Ctrl+2"), lambda: self.show_page(Page.MODELS)),
            (self.tr("Server"), QKeySequence("Ctrl+3"), lambda: self.show_page(Page.SERVER)),
            (self.tr("Settings"), QKeySequence("Ctrl+,"), lambda: self.show_page(Page.SETTINGS)),
            (self.tr("New chat"), QKeySequence("Ctrl+N"), self.new_chat),
            (self.tr("Close the window"), QKeySequence("Ctrl+W"), lambda: QTimer.singleShot(0, self.close)),
            (self.tr("Quit"), QKeySequence("Ctrl+Q"), self.quit_asked.emit),
        )
        for text, keys, act in shortcuts:
            action = QAction(text, self)
            action.setShortcut(keys)
            action.triggered.connect(lambda _=False, act=act: act())
            self.addAction(action)
        hints = (*self.sidebar.buttons.values(), self.sidebar.new_chat_button)
        for made, action in zip(hints, self.actions(), strict=False):
            written = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            made.setToolTip(f"{action.text()} ({written})")

    # Pages

    def show_page(self, page: Page) -> None:
        self.pages.setCurrentIndex(page)
        self.sidebar.show_page(page)
        # Not on whatever button comes first, which would be marked as if it had been chosen.
        focused = self.chat.composer if page is Page.CHAT else self.pages.currentWidget()
        if focused is not None:
            focused.setFocus()

    def new_chat(self) -> None:
        self.show_page(Page.CHAT)
        self.chat.new_conversation()

    def _open_chat(self, conversation_id: str) -> None:
        self.show_page(Page.CHAT)
        self.chat.open_conversation(conversation_id)

    def _show_found(self, message_id: str) -> None:
        self.show_page(Page.CHAT)
        self.chat.open_message(message_id)

    def _chat_with(self, model_id: str) -> None:
        self.new_chat()
        self.chat.picker.choose(model_id)

    # State

    def _take_settings(self, settings: Settings) -> None:
        self._settings = settings

    def show_status(self, status: Status) -> None:
        self._status = status
        self.model_status.set_full_text("  ·  ".join(filter(None, (status.model_text, status.downloads.text))))
        self.server_status.set_full_text(status.server_text)
        server = self.sidebar.buttons[Page.SERVER]
        if status.server.error and not status.server.running:
            server.set_mark("error", self.tr("could not be started"))
        else:
            server.set_mark(*(("success", self.tr("on")) if status.server.running else ("", "")))
        models = self.sidebar.buttons[Page.MODELS]
        if status.tray is TrayState.BUSY:
            models.set_mark("accent", self.tr("busy"))
        else:
            models.set_mark(*(("accent", self.tr("downloading")) if status.downloads.open else ("", "")))

    # Showing, closing, quitting

    def bring_to_front(self) -> None:
        """Show the window, wherever it was."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def prepare_to_quit(self) -> None:
        """Save what is not saved yet. After this, closing only closes."""
        self._quitting = True
        self.settings.flush()
        self.models.detail.flush()
        self._save_geometry()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._save_geometry()
        if self._quitting:
            event.accept()
            return
        event.ignore()
        if not self._status.server.running:
            self.quit_asked.emit()
        elif self._tray_available():
            self._keep_in_tray()
        else:
            self._ask_where_to()

    def _keep_in_tray(self) -> None:
        if not (self._told_about_tray or self._settings.told_about_tray):
            self._told_about_tray = True
            text = self.tr(
                "Hearth keeps running in the system tray, because its server is on and other programs may be using it. "
                "To end it, choose Quit in the tray icon's menu, or turn the server off before you close the window."
            )
            self._desktop.tell(self, title=self.tr("Hearth keeps running"), text=text)
            self._bridge.call(lambda: self._services.settings.update(told_about_tray=True)).start()
        self.hide()

    def _ask_where_to(self) -> None:
        """There is no tray: a hidden window could not be found again."""
        picked = self._desktop.choose(
            self,
            title=self.tr("Close Hearth"),
            text=self.tr("The server is on. Quit Hearth, or keep it running?"),
            details=self.tr("Programs that use your models stop working when Hearth quits."),
            actions=(self.tr("Keep running, minimised"), self.tr("Quit")),
        )
        if picked == 0:
            self.showMinimized()
        elif picked == 1:
            self.quit_asked.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.sidebar.setFixedWidth(_NARROW_SIDEBAR_WIDTH if event.size().width() < _NARROW else _SIDEBAR_WIDTH)

    def _geometry_file(self) -> QSettings:
        return QSettings(str(self._services.paths.config / "window.ini"), QSettings.Format.IniFormat)

    def _restore_geometry(self) -> None:
        kept = self._geometry_file().value("geometry")
        if kept is None or not self.restoreGeometry(kept):
            self.resize(1100, 720)

    def _save_geometry(self) -> None:
        if self.isVisible():
            self._geometry_file().setValue("geometry", self.saveGeometry())
