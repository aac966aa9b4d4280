"""The conversations at the left of the window."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.chats import Conversation, SearchHit
from app.gui.bridge import Bridge
from app.gui.chat.conversation_model import ConversationModel
from app.gui.chat.exchange import Exchange
from app.gui.chat.search_results import SearchResults
from app.gui.controls import label, tool_button
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.icons import icon
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["ConversationList"]

_UNDO_MS = 8000
_TYPING_MS = 120


class ConversationList(QWidget):
    """`opened` carries the id of a conversation to open; `found` that of a message in one, to be shown there."""

    opened = Signal(str)
    found = Signal(str)

    def __init__(
        self, services: Services, bridge: Bridge, parent: QWidget | None = None, *, desktop: Desktop | None = None
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._exchange = Exchange(services, bridge, desktop or Desktop(), self)
        self._selected = ""
        self.model = ConversationModel(self)
        self.model.renamed.connect(self._rename)
        self.view = self._make_view()
        self.field = self._make_field()
        self.results = SearchResults()
        self.results.chosen.connect(self._open_hit)
        self._nothing = label(self.tr("Nothing was found."), "caption", wrap=True)
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self._stack = QStackedWidget()
        for page in (self.view, self.results, self._nothing):
            self._stack.addWidget(page)
        self._note = _Note()
        self._note.undo_wanted.connect(self._restore)
        self._exchange.said.connect(self._note.say)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.GAP)
        head = QHBoxLayout()
        head.setSpacing(Theme.TIGHT)
        head.addWidget(self.field, 1)
        head.addWidget(self._make_more_button())
        column.addLayout(head)
        column.addWidget(self._stack, stretch=1)
        column.addWidget(self._note)
        bridge.watch(services.conversations.changed, self._show)
        task = bridge.submit(services.conversations.list(), self)
        task.succeeded.connect(self._show)
        task.failed.connect(self._say_error)
        task.start()

    def _make_field(self) -> QLineEdit:
        made = QLineEdit(placeholderText=self.tr("Search chats"))
        made.setAccessibleName(self.tr("Search in titles and messages"))
        made.setClearButtonEnabled(True)
        made.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self._pause = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._pause.timeout.connect(self._search)
        made.textChanged.connect(lambda text: self._pause.start() if text.strip() else self._end_search())
        made.returnPressed.connect(self._open_first)
        leave = QAction(made)
        leave.setShortcut(QKeySequence(Qt.Key.Key_Escape))
        leave.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        leave.triggered.connect(made.clear)
        made.addAction(leave)
        return made

    def _make_more_button(self) -> QToolButton:
        made = tool_button("more", self.tr("Import and export chats"))
        menu = QMenu(made)
        menu.addAction(icon("download"), self.tr("Import chats…"), self._exchange.bring_in)
        menu.addAction(icon("folder"), self.tr("Export all chats…"), self._exchange.save_all)
        made.setMenu(menu)
        made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        return made

    def _make_view(self) -> QListView:
        view = QListView()
        view.setModel(self.model)
        view.setAccessibleName(self.tr("Chats"))
        view.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setTextElideMode(Qt.TextElideMode.ElideRight)
        view.setUniformItemSizes(True)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._open_menu)
        view.selectionModel().currentChanged.connect(self._go)
        view.clicked.connect(self._go)
        delete = QAction(self.tr("Delete chat"), view)
        delete.setShortcut(QKeySequence.StandardKey.Delete)
        delete.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        delete.triggered.connect(self.delete_current)
        view.addAction(delete)
        return view

    def select(self, conversation: Conversation | None) -> None:
        """Mark the conversation that is open, without opening it again."""
        self._selected = conversation.id if conversation is not None else ""
        self._mark()

    def delete_current(self) -> None:
        conversation = self.model.conversation(self.view.currentIndex())
        if conversation is None:
            return
        task = self._bridge.submit(self._services.conversations.delete(conversation.id), self)
        task.succeeded.connect(lambda _: self._note.offer_undo(conversation))
        task.failed.connect(self._say_error)
        task.start()

    # --------------------------------------------------------------------------------------------------------- search
    def _search(self, *, then_open: bool = False) -> None:
        text = self.field.text()
        task = self._bridge.submit(self._services.conversations.search(text), self)
        task.succeeded.connect(lambda hits: self._show_hits(text, hits))
        if then_open:
            task.succeeded.connect(lambda _: self.results.choose_first())
        task.failed.connect(self._say_error)
        task.start()

    def _show_hits(self, text: str, hits: tuple[SearchHit, ...]) -> None:
        if text == self.field.text():
            self.results.results.show_hits(hits)
            self._stack.setCurrentWidget(self.results if hits else self._nothing)

    def _end_search(self) -> None:
        self._pause.stop()
        self._stack.setCurrentWidget(self.view)

    def _open_first(self) -> None:
        """Whoever types faster than it is looked for gets what is found for all of it."""
        if self._pause.isActive():
            self._pause.stop()
            self._search(then_open=True)
        elif self._stack.currentWidget() is self.results:
            self.results.choose_first()

    def _open_hit(self, hit: SearchHit) -> None:
        if hit.message_id is not None:
            self.found.emit(hit.message_id)
        else:
            self.opened.emit(hit.conversation.id)

    # ------------------------------------------------------------------------------------------------------- private
    def _show(self, conversations: tuple[Conversation, ...]) -> None:
        if self.view.state() == QAbstractItemView.State.EditingState:
            # A reset would take the editor away from under the person's fingers.
            QTimer.singleShot(200, self, lambda: self._refresh_later())
            return
        self.model.show_conversations(conversations)
        self._mark()

    def _refresh_later(self) -> None:
        task = self._bridge.submit(self._services.conversations.list(), self)
        task.succeeded.connect(self._show)
        task.start()

    def _mark(self) -> None:
        index = self.model.row_of(self._selected)
        selection = self.view.selectionModel()
        selection.blockSignals(True)
        if index.isValid():
            selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        else:
            selection.clear()
        selection.blockSignals(False)
        self.view.viewport().update()

    def _go(self, index: QModelIndex) -> None:
        conversation = self.model.conversation(index)
        if conversation is not None and conversation.id != self._selected:
            self._selected = conversation.id
            self.opened.emit(conversation.id)

    def _open_menu(self, position: QPoint) -> None:
        index = self.view.indexAt(position)
        if not index.isValid():
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(icon("pencil"), self.tr("Rename"), lambda: self.view.edit(index))
        if (conversation := self.model.conversation(index)) is not None:
            self._exchange.add_exports(menu, conversation)
        menu.addAction(icon("trash"), self.tr("Delete"), lambda: self._delete(index))
        menu.popup(self.view.viewport().mapToGlobal(position))

    def _delete(self, index: QModelIndex) -> None:
        self.view.setCurrentIndex(index)
        self.delete_current()

    def _rename(self, conversation_id: str, title: str) -> None:
        task = self._bridge.submit(self._services.conversations.rename(conversation_id, title), self)
        task.failed.connect(self._say_error)
        task.start()

    def _restore(self, conversation: Conversation) -> None:
        task = self._bridge.submit(self._services.conversations.restore(conversation.id), self)
        task.succeeded.connect(lambda restored: self.opened.emit(restored.id))
        task.failed.connect(self._say_error)
        task.start()

    def _say_error(self, error: BaseException) -> None:
        self._note.say(sentence(error))


class _Note(QFrame):
    """A word at the foot of the list that goes away by itself; with Undo after a deletion."""

    undo_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "notice")
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        self._undo = QPushButton(self.tr("Undo"))
        self._undo.setProperty("kind", "quiet")
        self._undo.clicked.connect(self._undone)
        self._deleted: Conversation | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.TIGHT, Theme.TIGHT, Theme.TIGHT)
        row.addWidget(self._words, stretch=1)
        row.addWidget(self._undo)
        self._timer = QTimer(self, singleShot=True, interval=_UNDO_MS)
        self._timer.timeout.connect(self.hide)
        self.hide()

    def offer_undo(self, conversation: Conversation) -> None:
        self._deleted = conversation
        self._show(self.tr("Chat deleted"), undo=True)

    def say(self, words: str) -> None:
        self._show(words, undo=False)

    def _show(self, words: str, *, undo: bool) -> None:
        self._words.setText(words)
        self._undo.setVisible(undo)
        self.show()
        self._timer.start()

    def _undone(self) -> None:
        self.hide()
        if self._deleted is not None:
            self.undo_wanted.emit(self._deleted)
