"""One window per profile: a second start shows the first window and ends."""

from __future__ import annotations

import hashlib
import os

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app.paths import Paths

__all__ = ["SingleInstance"]

_WAIT_MS = 2000
_TOKEN = "XDG_ACTIVATION_TOKEN"


class SingleInstance(QObject):
    """The lock file decides who is first; the local socket carries the wish to show the window. Lives on the Qt thread."""

    show_asked = Signal()

    def __init__(self, paths: Paths, parent: QObject | None = None) -> None:
        super().__init__(parent)
        paths.data.mkdir(parents=True, exist_ok=True)
        self._name = "hearth-" + hashlib.sha256(os.fsencode(paths.data)).hexdigest()[:20]
        self._lock = QLockFile(str(paths.data / "window.lock"))
        # Held for as long as the window lives: its age says nothing; a dead owner's lock is still recognised.
        self._lock.setStaleLockTime(0)
        self._server: QLocalServer | None = None

    def claim(self) -> bool:
        """Be the first, or learn that another is."""
        if not self._lock.tryLock(0):
            return False
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        # We hold the lock, so a socket of this name was left by a crash.
        QLocalServer.removeServer(self._name)
        self._server.newConnection.connect(self._accept)
        self._server.listen(self._name)
        return True

    def hand_over(self) -> bool:
        """Ask the first to show its window; False if it does not answer."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(_WAIT_MS):
            return False
        socket.write(f"show {os.environ.get(_TOKEN, '')}\n".encode())
        done = socket.waitForBytesWritten(_WAIT_MS)
        # The answer tells that the message was read; leaving earlier could lose it.
        done = done and socket.waitForReadyRead(_WAIT_MS)
        socket.disconnectFromServer()
        return done

    def close(self) -> None:
        """Let another be first."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._lock.isLocked():
            self._lock.unlock()

    def _accept(self) -> None:
        while self._server is not None and (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda peer=socket: self._read(peer))
            socket.disconnected.connect(socket.deleteLater)
            self._read(socket)

    def _read(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            return
        words = bytes(socket.readLine().data()).decode("utf-8", "replace").split()
        socket.write(b"ok\n")
        socket.flush()
        if words[:1] == ["show"]:
            if len(words) > 1:
                # Wayland lets a window come to the front only with the token of the click that wants it.
                os.environ[_TOKEN] = words[1]
            self.show_asked.emit()
