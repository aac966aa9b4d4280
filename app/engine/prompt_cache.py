"""What the model's memory holds: running sequences, and finished ones kept because a later prompt may begin like them."""

from __future__ import annotations

from collections.abc import Iterable

from app.engine.cells import CellLedger
from app.engine.decoder import Decoder, IntArray, MemoryKind
from app.engine.tokens import TokenizedPrompt, TokenRow, shared_prefix

__all__ = ["PromptCache", "Sequence"]

# A prompt waits for another that is computing at least this much of its beginning, instead of computing it too.
_WORTH_WAITING = 64


class Sequence:
    """A sequence in the model's memory: `row` are its tokens, of which the first `n_past` are computed."""

    __slots__ = ("id", "n_past", "prompt", "row", "used")

    def __init__(self, number: int, row: TokenRow, prompt: TokenizedPrompt) -> None:
        self.id = number
        self.row = row
        self.prompt = prompt
        self.n_past = 0
        self.used = 0

    @property
    def position(self) -> int:
        """The position of the next token to compute."""
        return self.prompt.position(self.n_past)

    @property
    def n_left(self) -> int:
        return len(self.row) - self.n_past

    @property
    def has_pictures_ahead(self) -> bool:
        return self.prompt.next_picture(self.n_past) < len(self.row)


class PromptCache:
    """Hands out sequences and takes them back. Engine thread only.

    A prompt takes over the parked sequence that begins most like it, or shares cells with it. Parked sequences give way, the
    least recently used first, when cells or sequence numbers run short.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._cells = CellLedger(decoder.n_cells)
        self._free = list(range(decoder.n_sequences - 1, -1, -1))
        self._active: list[Sequence] = []
        self._parked: list[Sequence] = []
        self._clock = 0

    @property
    def free_cells(self) -> int:
        return self._cells.free

    @property
    def parked(self) -> tuple[Sequence, ...]:
        return tuple(self._parked)

    def worth_waiting(self, row: TokenRow, prompt: TokenizedPrompt) -> bool:
        """Whether a running sequence is about to compute a long beginning of this prompt."""
        if self._decoder.memory is not MemoryKind.PLAIN:
            return False
        coming = max((min(shared_prefix(donor.row.ids, row.ids), len(row) - 1) for donor in self._active), default=0)
        return coming >= _WORTH_WAITING and coming - self._best(row.ids, prompt)[1] >= _WORTH_WAITING

    def attach(self, row: TokenRow, prompt: TokenizedPrompt, *, reserve: int) -> Sequence | None:
        """Give a prompt a sequence with as much of it computed as possible, always less than all of it.

        `reserve` cells must be left over for the sequences that run. None: not now, something else has to finish first.
        """
        donor, length = self._best(row.ids, prompt)
        if not self.make_room(len(row) - length - self._gain(donor, length) + reserve, keep=donor):
            donor, length = None, 0
            if not self.make_room(len(row) + reserve):
                return None
        sequence = self._take(donor, length, row, prompt)
        self._touch(sequence)
        return sequence

    def park(self, sequence: Sequence) -> None:
        """Keep a sequence that is finished."""
        self._active.remove(sequence)
        if sequence.n_past == 0:
            self._release(sequence)
            return
        sequence.row.cut(sequence.n_past)
        self._touch(sequence)
        self._parked.append(sequence)

    def drop(self, sequence: Sequence) -> None:
        """Forget a running sequence."""
        self._active.remove(sequence)
        self._release(sequence)

    def advance(self, sequence: Sequence, n_tokens: int) -> None:
        """Note that the next `n_tokens` of a sequence have been computed."""
        sequence.n_past += n_tokens
        self._cells.grow(sequence.id, n_tokens)

    def step_back(self, sequence: Sequence) -> bool:
        """Forget the last computed token, so that it can be computed again; False if this model can't."""
        index = sequence.n_past - 1
        if not self._can_cut(sequence, index) or not self._decoder.remove(sequence.id, sequence.prompt.position(index)):
            return False
        sequence.n_past = index
        self._cells.cut(sequence.id, index)
        return True

    def make_room(self, n_cells: int, *, keep: Sequence | None = None) -> bool:
        """Let parked sequences go until `n_cells` are free; False if that is not enough."""
        while self._cells.free < n_cells:
            oldest = min((s for s in self._parked if s is not keep), key=lambda s: s.used, default=None)
            if oldest is None:
                return False
            self._evict(oldest)
        return True

    def clear(self) -> None:
        """Forget everything; running sequences must not be used any more."""
        self._decoder.clear()
        self._cells.clear()
        self._active.clear()
        self._parked.clear()
        self._free = list(range(self._decoder.n_sequences - 1, -1, -1))

    # ------------------------------------------------------------------------------------------------------ matching
    def _best(self, ids: IntArray, prompt: TokenizedPrompt) -> tuple[Sequence | None, int]:
        """The sequence with the longest beginning in common that is computed and can be had, and how long that is."""
        best: Sequence | None = None
        longest = 0
        for donor in self._donors():
            common = min(shared_prefix(donor.row.ids, ids), donor.n_past, len(ids) - 1)
            length = self._usable(donor, prompt.whole(common))
            if length > longest:
                best, longest = donor, length
        return best, longest

    def _donors(self) -> Iterable[Sequence]:
        yield from self._parked
        if self._decoder.memory is MemoryKind.PLAIN:
            yield from self._active

    def _usable(self, donor: Sequence, length: int) -> int:
        if length == donor.n_past or self._decoder.memory is MemoryKind.PLAIN:
            return length
        # What can't be shared has to be cut; cutting away most of another conversation costs more than it saves.
        return length if 2 * length >= donor.n_past and self._can_cut(donor, length) else 0

    def _can_cut(self, sequence: Sequence, length: int) -> bool:
        """Whether a sequence cut to `length` tokens can go on: the one place that knows the models' kinds of memory."""
        match self._decoder.memory:
            case MemoryKind.PLAIN:
                return True
            case MemoryKind.WINDOWED:
                # The window before the cut must still be there; llama.cpp would cut all the same and go on with a hole.
                first = self._decoder.first_position(sequence.id)
                return first <= max(0, sequence.prompt.position(length) - self._decoder.n_window)
            case MemoryKind.RECURRENT:
                return False

    # -------------------------------------------------------------------------------------------------- taking, giving
    def _take(self, donor: Sequence | None, length: int, row: TokenRow, prompt: TokenizedPrompt) -> Sequence:
        if donor is not None and donor in self._parked and not self._worth_keeping(donor, length):
            self._parked.remove(donor)
            return self._take_over(donor, length, row, prompt)
        sequence = Sequence(self._number(keep=donor), row, prompt)
        self._active.append(sequence)
        if donor is not None and length:
            self._decoder.copy(donor.id, sequence.id, prompt.position(length))
            self._cells.share(donor.id, sequence.id, length)
            sequence.n_past = length
            self._touch(donor)
        return sequence

    def _take_over(self, donor: Sequence, length: int, row: TokenRow, prompt: TokenizedPrompt) -> Sequence:
        sequence = Sequence(donor.id, row, prompt)
        self._active.append(sequence)
        if length < donor.n_past and not self._decoder.remove(donor.id, prompt.position(length)):
            self._decoder.remove(donor.id, 0)
            length = 0
        self._cells.cut(donor.id, length)
        sequence.n_past = length
        return sequence

    def _gain(self, donor: Sequence | None, length: int) -> int:
        """Cells that come free by cutting a donor that is taken over."""
        taken_over = donor is not None and donor in self._parked and not self._worth_keeping(donor, length)
        return donor.n_past - length if donor is not None and taken_over else 0

    def _worth_keeping(self, donor: Sequence, length: int) -> bool:
        """Whether to share a parked sequence's beginning rather than use it up. Only plain memories can share."""
        spare = bool(self._free) or len(self._parked) > 1
        return self._decoder.memory is MemoryKind.PLAIN and 2 * length < donor.n_past and spare

    def _number(self, keep: Sequence | None) -> int:
        if not self._free:
            self._evict(min((s for s in self._parked if s is not keep), key=lambda s: s.used))
        return self._free.pop()

    def _evict(self, sequence: Sequence) -> None:
        self._parked.remove(sequence)
        self._release(sequence)

    def _release(self, sequence: Sequence) -> None:
        self._decoder.remove(sequence.id, 0)
        self._cells.drop(sequence.id)
        self._free.append(sequence.id)

    def _touch(self, sequence: Sequence) -> None:
        self._clock += 1
        sequence.used = self._clock
