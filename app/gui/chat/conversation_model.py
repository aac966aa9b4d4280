"""The list of conversations as Qt's views want it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.chats import Conversation
from app.gui.tooltips import plain_tooltip

__all__ = ["ConversationModel"]

_Index = QModelIndex | QPersistentModelIndex


class ConversationModel(QAbstractListModel):
    """`renamed` carries id and title when a person edited a row; the row changes once the store has."""

    renamed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._conversations: tuple[Conversation, ...] = ()

    def show_conversations(self, conversations: tuple[Conversation, ...]) -> None:
        """Replace the rows; nothing is told when only titles changed except their rows."""
        before = self._conversations
        if [each.id for each in before] == [each.id for each in conversations]:
            self._conversations = conversations
            for row, (old, new) in enumerate(zip(before, conversations, strict=True)):
                if old.title != new.title:
                    self.dataChanged.emit(self.index(row), self.index(row))
            return
        self.beginResetModel()
        self._conversations = conversations
        self.endResetModel()

    def conversation(self, index: _Index) -> Conversation | None:
        return self._conversations[index.row()] if index.isValid() and index.row() < len(self._conversations) else None

    def row_of(self, conversation_id: str) -> QModelIndex:
        """The row of a conversation; an invalid index if it has none."""
        for row, conversation in enumerate(self._conversations):
            if conversation.id == conversation_id:
                return self.index(row)
        return QModelIndex()

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._conversations)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        conversation = self.conversation(index)
        if conversation is None:
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return conversation.title or self.tr("Untitled chat")
        if role == Qt.ItemDataRole.EditRole:
            return conversation.title
        if role == Qt.ItemDataRole.ToolTipRole:
            when = conversation.updated.astimezone().strftime("%x %H:%M")
            return plain_tooltip(f"{conversation.title}\n{when}" if conversation.title else when)
        return None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        conversation = self.conversation(index)
        title = str(value).strip()
        if role != Qt.ItemDataRole.EditRole or conversation is None or not title or title == conversation.title:
            return False
        self.renamed.emit(conversation.id, title)
        return True

    def flags(self, index: _Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable
