"""How many of the memory's cells are in use, counted without asking llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CellLedger"]


@dataclass(slots=True)
class _Segment:
    """A run of cells and the sequences that hold it."""

    n_cells: int
    owners: set[int] = field(default_factory=set)


class CellLedger:
    """Cells of all sequences. A run that several sequences share is counted once."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._chains: dict[int, list[_Segment]] = {}

    @property
    def free(self) -> int:
        return self.capacity - self.used

    def length(self, sequence: int) -> int:
        return sum(segment.n_cells for segment in self._chains.get(sequence, ()))

    def used_without(self, sequences: set[int]) -> int:
        """Cells that none of `sequences` holds."""
        held = {id(segment): segment.n_cells for number in sequences for segment in self._chains.get(number, ())}
        return self.used - sum(held.values())

    def grow(self, sequence: int, n_cells: int) -> None:
        if n_cells <= 0:
            return
        chain = self._chains.setdefault(sequence, [])
        if chain and chain[-1].owners == {sequence}:
            chain[-1].n_cells += n_cells
        else:
            chain.append(_Segment(n_cells, {sequence}))
        self.used += n_cells

    def share(self, source: int, target: int, n_cells: int) -> None:
        """Let `target`, which holds nothing yet, hold the first `n_cells` of `source` too."""
        prefix = self._prefix(source, n_cells)
        for segment in prefix:
            segment.owners.add(target)
        self._chains[target] = prefix

    def cut(self, sequence: int, keep: int) -> None:
        """Give up all but the first `keep` cells."""
        chain = self._chains.get(sequence, [])
        kept = self._prefix(sequence, keep)
        for segment in chain[len(kept) :]:
            segment.owners.discard(sequence)
            if not segment.owners:
                self.used -= segment.n_cells
        self._chains[sequence] = kept

    def drop(self, sequence: int) -> None:
        self.cut(sequence, 0)
        self._chains.pop(sequence, None)

    def clear(self) -> None:
        self._chains.clear()
        self.used = 0

    def _prefix(self, sequence: int, n_cells: int) -> list[_Segment]:
        """The segments of the first `n_cells`; one that reaches beyond is split for all its owners."""
        prefix: list[_Segment] = []
        for segment in tuple(self._chains.get(sequence, ())):
            if n_cells <= 0:
                break
            if segment.n_cells > n_cells:
                self._split(segment, n_cells)
            prefix.append(segment)
            n_cells -= segment.n_cells
        return prefix

    def _split(self, segment: _Segment, at: int) -> None:
        rest = _Segment(segment.n_cells - at, set(segment.owners))
        segment.n_cells = at
        for owner in segment.owners:
            chain = self._chains[owner]
            chain.insert(next(i for i, other in enumerate(chain) if other is segment) + 1, rest)
