"""Conversations to files and from files, from the window."""

from __future__ import annotations

import enum
from functools import partial
from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, QObject, Signal
from PySide6.QtGui import QPageSize, QPdfWriter, QTextDocument
from PySide6.QtWidgets import QMenu, QWidget

from app.chats import Conversation
from app.chats.exchange import to_html, to_json, to_markdown
from app.gui.bridge import Bridge, Task
from app.gui.desktop import Desktop, file_name
from app.gui.errors import sentence
from app.gui.icons import icon
from app.service.conversations import Taken
from app.service.services import Services

__all__ = ["Exchange", "FileKind"]

_LONGEST_NAME = 80


class FileKind(enum.Enum):
    """What a conversation can be saved as, by the ending of the file."""

    MARKDOWN = ".md"
    HTML = ".html"
    PDF = ".pdf"
    JSON = ".json"


class Exchange(QObject):
    """Asks for files, and reads and writes them off the Qt thread, except for a PDF, which Qt draws.

    `said` carries a sentence: what was done, or why it could not be.
    """

    said = Signal(str)

    def __init__(self, services: Services, bridge: Bridge, desktop: Desktop, parent: QWidget) -> None:
        super().__init__(parent)
        self._widget = parent
        self._services = services
        self._bridge = bridge
        self._desktop = desktop

    def add_exports(self, menu: QMenu, conversation: Conversation) -> None:
        """A submenu with the kinds of files that `conversation` can be saved as."""
        kinds = menu.addMenu(icon("download"), self.tr("Export"))
        for kind in FileKind:
            kinds.addAction(self._name_of(kind), partial(self.save, conversation, kind))

    def save(self, conversation: Conversation, kind: FileKind) -> None:
        """Ask where to, and save one conversation."""
        file = self._ask(_file_name(conversation.title or self.tr("Chat")), kind)
        if file is not None:
            self._write((conversation.id,), file, kind)

    def save_all(self) -> None:
        """Save every conversation to one file, from which all of them can be brought in again."""
        file = self._ask(self.tr("Hearth chats"), FileKind.JSON)
        if file is not None:
            self._write((), file, FileKind.JSON)

    def bring_in(self) -> None:
        """Ask for files of this program or another, and keep the conversations in them."""
        kind = self.tr("Chats of Hearth, ChatGPT, Open WebUI and LM Studio")
        files = self._desktop.conversation_files(self._widget, title=self.tr("Import chats"), kind=kind)
        if not files:
            return
        task = self._bridge.submit(self._services.conversations.take(files), self)
        task.succeeded.connect(self._tell_taken)
        self._start(task)

    def _tell_taken(self, taken: Taken) -> None:
        words = []
        if taken.new or not taken.known:
            words.append(self.tr("1 chat imported.") if taken.new == 1 else self.tr("{0} chats imported.").format(taken.new))
        if taken.known:
            one, more = self.tr("1 chat was here already."), self.tr("{0} chats were here already.").format(taken.known)
            words.append(one if taken.known == 1 else more)
        self.said.emit(" ".join(words))

    def _ask(self, name: str, kind: FileKind) -> Path | None:
        return self._desktop.new_file(self._widget, title=self.tr("Export"), name=name + kind.value, kind=self._name_of(kind))

    def _write(self, conversation_ids: tuple[str, ...], file: Path, kind: FileKind) -> None:
        you = self.tr("You")
        conversations = self._services.conversations
        task: Task
        match kind:
            case FileKind.PDF:
                task = self._bridge.submit(conversations.export(conversation_ids), self)
                task.succeeded.connect(lambda archived: self._draw(file, to_html(archived[0], you=you)))
            case FileKind.JSON:
                task = self._bridge.submit(conversations.save(file, to_json, conversation_ids), self)
            case FileKind.MARKDOWN:
                task = self._bridge.submit(
                    conversations.save(file, lambda archived: to_markdown(archived[0], you=you), conversation_ids), self
                )
            case FileKind.HTML:
                task = self._bridge.submit(
                    conversations.save(file, lambda archived: to_html(archived[0], you=you), conversation_ids), self
                )
        if kind is not FileKind.PDF:
            task.succeeded.connect(lambda _: self._tell_saved(file))
        self._start(task)

    def _draw(self, file: Path, page: str) -> None:
        task = self._bridge.submit(self._services.conversations.write_file(file, _pdf(page)), self)
        task.succeeded.connect(lambda _: self._tell_saved(file))
        self._start(task)

    def _tell_saved(self, file: Path) -> None:
        self.said.emit(self.tr("Saved as {0}").format(file.name))

    def _start(self, task: Task) -> None:
        task.failed.connect(lambda error: self.said.emit(sentence(error)))
        task.start()

    def _name_of(self, kind: FileKind) -> str:
        match kind:
            case FileKind.MARKDOWN:
                return self.tr("Markdown")
            case FileKind.HTML:
                return self.tr("Web page")
            case FileKind.PDF:
                return self.tr("PDF")
            case FileKind.JSON:
                return self.tr("JSON, to import again")


def _file_name(title: str) -> str:
    return file_name(title)[:_LONGEST_NAME] or "chat"


def _pdf(page: str) -> bytes:
    """An HTML page as the bytes of a PDF."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    # Printing a document leaves two centimetres at each side by itself.
    writer.setPageMargins(QMarginsF(0, 0, 0, 0))
    document = QTextDocument()
    document.setHtml(page)
    document.print_(writer)
    return bytes(buffer.data().data())
