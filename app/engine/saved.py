"""Sequences' memory copied to the host: what a prompt may go on from when no sequence in the model's memory holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.engine.decoder import ByteArray, IntArray
from app.engine.tokens import shared_prefix

__all__ = ["Checkpoint", "SavedSequence", "SavedStates"]


@dataclass(frozen=True, slots=True, eq=False)
class SavedSequence:
    """All that is remembered of the tokens `ids`. `first_position` is the lowest position that every layer still held.

    `owner` names the conversation it belongs to; what has one may also be kept on the disk.
    """

    ids: IntArray
    data: ByteArray
    first_position: int = 0
    owner: str | None = None

    @property
    def size_bytes(self) -> int:
        return self.data.nbytes + self.ids.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The part that can't be cut (a window, a running state) as it was after the tokens `ids`.

    It belongs to the tokens, not to a sequence: any sequence that holds their positions can go back to it.
    """

    ids: IntArray
    data: ByteArray

    @property
    def size_bytes(self) -> int:
        return self.data.nbytes + self.ids.nbytes


class SavedStates:
    """Saved sequences and checkpoints under one budget of bytes; the least recently used go first. Engine thread only.

    `on_let_go` hears of each sequence that leaves for want of room.
    """

    def __init__(self, budget_bytes: int, *, on_let_go: Callable[[SavedSequence], None] | None = None) -> None:
        self._budget = budget_bytes
        self._on_let_go = on_let_go or (lambda _state: None)
        # In the order of their last use.
        self._items: list[SavedSequence | Checkpoint] = []
        self.used_bytes = 0

    @property
    def enabled(self) -> bool:
        return self._budget > 0

    def has_place_for(self, item: SavedSequence) -> bool:
        """Whether the whole budget is enough for it."""
        return item.size_bytes <= self._budget

    @property
    def sequences(self) -> Iterator[SavedSequence]:
        return (item for item in self._items if isinstance(item, SavedSequence))

    @property
    def checkpoints(self) -> Iterator[Checkpoint]:
        return (item for item in self._items if isinstance(item, Checkpoint))

    def keep(self, item: SavedSequence | Checkpoint) -> None:
        """Keep it; an older one of the same kind that it makes superfluous goes."""
        for old in tuple(self._items):
            if type(old) is type(item) and _covers(item, old):
                self.take(old)
        self._items.append(item)
        self.used_bytes += item.size_bytes
        if item.size_bytes > self._budget:
            self._let_go(item)
        while self.used_bytes > self._budget:
            self._let_go(self._items[0])

    def take(self, item: SavedSequence | Checkpoint) -> None:
        """It is kept no longer."""
        self._items.remove(item)
        self.used_bytes -= item.size_bytes

    def touch(self, item: SavedSequence | Checkpoint) -> None:
        """It has been used; it may meanwhile have had to go."""
        if item in self._items:
            self._items.remove(item)
            self._items.append(item)

    def checkpoint(self, ids: IntArray, longest: int) -> Checkpoint | None:
        """The furthest checkpoint within the first `longest` of `ids`."""
        best: Checkpoint | None = None
        for one in self.checkpoints:
            n = len(one.ids)
            if n <= longest and (best is None or n > len(best.ids)) and shared_prefix(one.ids, ids) == n:
                best = one
        return best

    def forget(self, owner: str) -> None:
        for state in tuple(self.sequences):
            if state.owner == owner:
                self.take(state)

    def clear(self) -> None:
        self._items.clear()
        self.used_bytes = 0

    def _let_go(self, item: SavedSequence | Checkpoint) -> None:
        self.take(item)
        if isinstance(item, SavedSequence):
            self._on_let_go(item)


def _covers(new: SavedSequence | Checkpoint, old: SavedSequence | Checkpoint) -> bool:
    """Whether `old` need not be kept beside `new`: the same tokens, or a sequence that begins like it and goes on."""
    shared = shared_prefix(new.ids, old.ids)
    if isinstance(new, Checkpoint):
        return shared == len(old.ids) == len(new.ids)
    return shared == len(old.ids) and (not isinstance(old, SavedSequence) or old.owner in (None, new.owner))
