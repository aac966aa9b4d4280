"""Runs the window from start to end: one call, which returns the program's exit status."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from types import TracebackType

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QSocketNotifier, Qt, Signal
from PySide6.QtWidgets import QApplication, QMessageBox

from app.domain.models import DownloadProgress
from app.gui.bridge import Bridge
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.garbage import GarbageCollector
from app.gui.icons import program_icon
from app.gui.main_window import MainWindow
from app.gui.server.control import switch_server
from app.gui.sidebar import Page
from app.gui.single_instance import SingleInstance
from app.gui.status import StatusWatch
from app.gui.theme import apply_theme
from app.gui.tray import Tray
from app.service.loop import ServiceLoop
from app.service.services import Services
from app.settings import Settings

__all__ = ["Shell", "make_application", "run"]

_log = logging.getLogger(__name__)
# Each call of Qt lets other threads run. At Python's own 5 ms the window would wait so long for a busy one, at every call.
_SWITCH_S = 0.0005


def run(services: Services, service: ServiceLoop, *, hidden: bool) -> int:
    """Show the window (or only the tray icon) until the person quits. The caller closes the services afterwards.

    If a window of this profile is open already, that one is shown, and this call returns at once.
    """
    app = make_application()
    with ExitStack() as stack:
        instance = SingleInstance(services.paths)
        if not instance.claim():
            return 0 if instance.hand_over() else 1
        stack.callback(instance.close)
        failures = Failures()
        stack.enter_context(failures.caught())
        shell = Shell(services, service, desktop=Desktop())
        stack.callback(shell.close)
        stack.enter_context(_signals_call(shell.quit))
        failures.happened.connect(shell.report)
        instance.show_asked.connect(shell.window.bring_to_front)
        shell.finished.connect(lambda: app.exit(0))
        app.installEventFilter(shell)
        shell.start(hidden=hidden)
        return app.exec()


def make_application() -> QApplication:
    """The one QApplication, named, with its icon; that of this process if there is one."""
    sys.setswitchinterval(_SWITCH_S)
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(sys.argv[:1])
    app.setApplicationName("hearth")
    app.setApplicationDisplayName("Hearth")
    app.setDesktopFileName("hearth")
    app.setWindowIcon(program_icon())
    app.setQuitOnLastWindowClosed(False)
    return app


class Shell(QObject):
    """The bridge, the window and the tray, joined. Lives on the Qt thread; `close` it before the services end."""

    finished = Signal()

    def __init__(self, services: Services, service: ServiceLoop, *, desktop: Desktop) -> None:
        super().__init__()
        self._services = services
        self._garbage = GarbageCollector()
        # A frozen value, read before anything can change it: the window is to appear in the right colours at once.
        settings = services.settings.current
        self._apply_theme(settings)
        self.bridge = Bridge(service, self)
        self.tray = Tray(self)
        self.window = MainWindow(services, self.bridge, tray_available=lambda: self.tray.available, desktop=desktop)
        self.status = StatusWatch(services, self.bridge, self)
        self._server_wanted = settings.server_enabled
        self._join()

    def _join(self) -> None:
        self.status.changed.connect(self.window.show_status)
        self.status.changed.connect(self.tray.show_status)
        self.tray.show_asked.connect(self.window.bring_to_front)
        self.tray.server_asked.connect(self._switch_server)
        self.tray.quit_asked.connect(self.quit)
        self.tray.downloads_asked.connect(self._show_downloads)
        self.status.download_ended.connect(self._tell_of_download)
        self.window.quit_asked.connect(self.quit)
        self.bridge.watch(self._services.settings.changed, self._apply_theme)

    def start(self, *, hidden: bool) -> None:
        """Show what is to be shown, and start the server if it is wanted."""
        self.tray.show()
        if not hidden:
            self.window.bring_to_front()
        elif not self.tray.available:
            self.window.showMinimized()
        if self._server_wanted:
            task = self.bridge.submit(self._services.server.start(), self)
            task.failed.connect(self.window.server.show_failure)
            task.start()

    def quit(self) -> None:
        """End the program: `finished` follows."""
        self.window.prepare_to_quit()
        self.tray.hide()
        self.finished.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take over what the desktop asks for (a log-out, Quit in a dock): Qt's own way is to close windows, which may stay."""
        if event.type() == QEvent.Type.Quit:
            self.quit()
            return True
        return super().eventFilter(watched, event)

    def close(self) -> None:
        """Take everything down that knows the services."""
        self.window.prepare_to_quit()
        self.bridge.close()
        self.tray.close()
        self.window.close()
        self.window.deleteLater()
        self.deleteLater()
        # The event loop has ended, and Python must not delete widgets later, on whatever thread it collects garbage.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        self._garbage.close()

    def report(self, error: BaseException) -> None:
        """Tell of a failure that nothing else has told of. One at a time: a failing repaint would bury the screen."""
        if self.window.findChild(QMessageBox, "failure") is not None:
            return
        box = QMessageBox(QMessageBox.Icon.Warning, "Hearth", sentence(error), parent=self.window)
        box.setObjectName("failure")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setInformativeText(self.tr("You can go on. The log file is {0}.").format(self._services.paths.log_file))
        box.finished.connect(box.deleteLater)
        box.open()

    def _show_downloads(self) -> None:
        self.window.show_page(Page.MODELS)
        self.window.bring_to_front()

    def _tell_of_download(self, progress: DownloadProgress) -> None:
        """Not to somebody who sees it happen."""
        if not (self.window.isActiveWindow() and self.window.pages.currentWidget() is self.window.models):
            self.tray.tell_of_end(progress)
            QApplication.alert(self.window)

    def _switch_server(self, on: bool) -> None:
        task = self.bridge.submit(switch_server(self._services, on=on), self)
        task.failed.connect(self._server_failed)
        task.start()

    def _server_failed(self, error: Exception) -> None:
        self.window.server.show_failure(error)
        self.tray.show_status(self.status.status)
        self.window.bring_to_front()

    def _apply_theme(self, settings: Settings) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_theme(app, settings.theme)


class Failures(QObject):
    """Exceptions that nobody caught: from slots of the window, and from other threads. They are logged, and told of."""

    happened = Signal(object)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take over the hooks of the process for as long as this is open."""
        hook, thread_hook = sys.excepthook, threading.excepthook
        sys.excepthook = self._on_exception
        threading.excepthook = self._on_thread_exception
        try:
            yield
        finally:
            sys.excepthook, threading.excepthook = hook, thread_hook

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _log.critical("Nobody caught this", exc_info=(kind, error, trace))
        if issubclass(kind, Exception):
            self.happened.emit(error)

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._on_exception(args.exc_type, args.exc_value, args.exc_traceback)


@contextmanager
def _signals_call(quit_program: Callable[[], None]) -> Iterator[None]:
    """Quit on Ctrl-C and SIGTERM. Qt waits outside of Python, where no handler runs, so a signal comes in as a byte too."""
    reader, writer = socket.socketpair()
    kinds = (signal.SIGINT, signal.SIGTERM)
    with closing(reader), closing(writer):
        writer.setblocking(False)
        notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read)
        notifier.activated.connect(lambda: reader.recv(64))
        old_fd = signal.set_wakeup_fd(writer.fileno())
        before = [signal.signal(kind, lambda *_: quit_program()) for kind in kinds]
        try:
            yield
        finally:
            for kind, handler in zip(kinds, before, strict=True):
                signal.signal(kind, handler)
            signal.set_wakeup_fd(old_fd)
            notifier.setEnabled(False)
