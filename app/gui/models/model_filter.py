"""Which of the installed models are shown, and in what order."""

from __future__ import annotations

import enum

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel

from app.domain.models import Capability, InstalledModel, ModelSource
from app.gui.models.model_list import ModelRole

__all__ = ["ModelFilter", "Owner"]

_Index = QModelIndex | QPersistentModelIndex
_OURS = (ModelSource.BUILT_IN, ModelSource.LIBRARY, ModelSource.FOLDER, ModelSource.ADDED, ModelSource.PATH)


class Owner(enum.Enum):
    """Whose models are shown."""

    ALL = enum.auto()
    HEARTH = enum.auto()
    OTHERS = enum.auto()


class ModelFilter(QSortFilterProxyModel):
    """Ours first, in the library's order, then those of other programs."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self._capabilities: frozenset[Capability] = frozenset()
        self._owner = Owner.ALL
        self.setDynamicSortFilter(True)
        self.sort(0)

    def set_text(self, text: str) -> None:
        """Every word must stand in a model's name, id, architecture or repository."""
        self._words = tuple(text.casefold().split())
        self.invalidate()

    def set_capabilities(self, capabilities: frozenset[Capability]) -> None:
        """A model must be capable of all of them."""
        self._capabilities = capabilities
        self.invalidate()

    def set_owner(self, owner: Owner) -> None:
        self._owner = owner
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: _Index) -> bool:
        model: InstalledModel = self.sourceModel().index(row, 0, parent).data(ModelRole.MODEL)
        is_ours = model.source in _OURS
        if self._owner is not Owner.ALL and is_ours is not (self._owner is Owner.HEARTH):
            return False
        searched = " ".join((model.id, model.name, model.architecture, model.repository, model.source)).casefold()
        return self._capabilities <= model.capabilities and all(word in searched for word in self._words)

    def lessThan(self, left: _Index, right: _Index) -> bool:
        one, other = (index.data(ModelRole.MODEL).source in _OURS for index in (left, right))
        return one and not other if one is not other else left.row() < right.row()
