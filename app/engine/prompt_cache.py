"""What the model's memory holds: running sequences, and finished ones kept because a later prompt may begin like them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.engine.cells import CellLedger
from app.engine.decoder import Decoder, IntArray, MemoryKind
from app.engine.saved import Checkpoint, SavedSequence, SavedStates
from app.engine.sequences import Sequence
from app.engine.tokens import TokenizedPrompt, TokenRow, shared_prefix, turn_starts

__all__ = ["PromptCache"]

# A prompt waits for another that is computing at least this much of its beginning, instead of computing it too.
_WORTH_WAITING = 64
# Copying a sequence between the host and the model's memory costs about as much as computing this many tokens.
_WORTH_COPYING = 64


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a prompt can begin: after `length` tokens of a resident `donor`, or of a sequence `saved` on the host.

    With a `checkpoint` the donor's positions before it are used, and what can't be cut comes from the checkpoint.
    """

    length: int = 0
    donor: Sequence | None = None
    saved: SavedSequence | None = None
    checkpoint: Checkpoint | None = None
    takes_over: bool = False


class PromptCache:
    """Hands out sequences and takes them back. Engine thread only.

    A prompt takes over the parked sequence that begins most like it, or shares cells with it. Parked sequences give way, the
    least recently used first, when cells or sequence numbers run short; they are copied to the host, and come back from there.
    Models that can't be cut anywhere (see `MemoryKind`) pause at boundaries and leave a checkpoint there.
    """

    def __init__(
        self,
        decoder: Decoder,
        saved: SavedStates,
        *,
        is_control: Callable[[int], bool],
        max_parked_cells: int | None = None,
    ) -> None:
        """With `max_parked_cells`, parked sequences beyond it wait on the host while others run: on a processor, attention
        takes time for every cell in use, whoever holds it.
        """
        self._max_parked_cells = max_parked_cells if saved.enabled else None
        self._decoder = decoder
        self._saved = saved
        self._is_control = is_control
        self._plain = decoder.memory is MemoryKind.PLAIN
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

    @property
    def saved(self) -> SavedStates:
        return self._saved

    def worth_waiting(self, row: TokenRow, prompt: TokenizedPrompt) -> bool:
        """Whether a running sequence is about to compute a long beginning of this prompt; it will pause there if need be."""
        if not self._plain and not self._saved.enabled:
            # There would be no checkpoint to begin from.
            return False
        coming, donor = 0, None
        for one in self._active:
            common = prompt.whole(min(shared_prefix(one.row.ids, row.ids), len(row) - 1))
            if common > coming and one.n_past < common:
                coming, donor = common, one
        if donor is None or coming < _WORTH_WAITING or coming - self._best(row.ids, prompt).length < _WORTH_WAITING:
            return False
        if not self._plain:
            donor.boundaries.add(coming)
        return True

    def attach(
        self,
        row: TokenRow,
        prompt: TokenizedPrompt,
        *,
        reserve: int,
        owner: str | None = None,
        offered: SavedSequence | None = None,
        reuse: bool = True,
    ) -> Sequence | None:
        """Give a prompt a sequence with as much of it computed as possible, always less than all of it; or without `reuse`
        nothing.

        `reserve` cells must be left over for the sequences that run. A copy that is too large to be kept may be `offered`.
        None: not now, something else has to finish first.
        """
        start = self._best(row.ids, prompt, offered) if reuse else _Start()
        if not self._room_for(start, len(row), reserve):
            start = _Start()
            if not self._room_for(start, len(row), reserve):
                return None
        sequence = self._begin(start, row, prompt, owner)
        self._active.append(sequence)
        self._clear_the_way()
        if not self._plain:
            sequence.boundaries.update(self._boundaries(sequence, start))
        return sequence

    def park(self, sequence: Sequence) -> None:
        """Keep a sequence that is finished."""
        self._active.remove(sequence)
        if sequence.n_past == 0:
            self._release(sequence)
            return
        sequence.row.cut(sequence.n_past)
        sequence.boundaries.clear()
        self._touch(sequence)
        self._parked.append(sequence)

    def drop(self, sequence: Sequence) -> None:
        """Forget a running sequence."""
        self._active.remove(sequence)
        self._release(sequence)

    def suspend(self, sequence: Sequence) -> SavedSequence | None:
        """Take a running sequence out of the model's memory, with a copy for `resume` if it is worth one."""
        copy = self._copy(sequence)
        self.drop(sequence)
        return copy

    def resume(
        self, copy: SavedSequence, row: TokenRow, prompt: TokenizedPrompt, *, reserve: int, owner: str | None
    ) -> Sequence | None:
        """Go on where `suspend` stopped, exactly. None: not now. A copy that llama.cpp refuses is computed again."""
        start = _Start(len(copy.ids), saved=copy)
        if not self._room_for(start, len(row), reserve):
            return None
        sequence = self._begin(start, row, prompt, owner)
        self._active.append(sequence)
        return sequence

    def advance(self, sequence: Sequence, n_tokens: int) -> None:
        """Note that the next `n_tokens` of a sequence have been computed."""
        sequence.n_past += n_tokens
        self._cells.grow(sequence.id, n_tokens)
        if sequence.n_past in sequence.boundaries:
            sequence.boundaries.discard(sequence.n_past)
            self._keep_checkpoint(sequence)

    def cut(self, sequence: Sequence, length: int) -> bool:
        """Forget the tokens computed after the first `length` of a running sequence; False if this model can't."""
        if not self._can_cut(sequence, length) or not self._decoder.remove(sequence.id, sequence.prompt.position(length)):
            return False
        sequence.n_past = length
        self._cells.cut(sequence.id, length)
        return True

    def make_room(self, n_cells: int, *, keep: Sequence | None = None) -> bool:
        """Let parked sequences go until `n_cells` are free; False, and none goes, if that would not be enough."""
        if self._cells.free >= n_cells:
            return True
        staying = {sequence.id for sequence in (*self._active, *((keep,) if keep is not None else ()))}
        if self._cells.free + self._cells.used_without(staying) < n_cells:
            return False
        while self._cells.free < n_cells:
            self._evict(min((s for s in self._parked if s is not keep), key=lambda s: s.used))
        return True

    def let_parked_go(self) -> None:
        for sequence in self.parked:
            self._evict(sequence)

    def forget(self, owner: str) -> None:
        """Keep nothing of a conversation that is gone; what runs of it is not kept when it ends."""
        for sequence in self._active:
            if sequence.owner == owner:
                sequence.owner = None
        for sequence in self.parked:
            if sequence.owner == owner:
                self._parked.remove(sequence)
                self._release(sequence)
        self._saved.forget(owner)

    @property
    def has_owned(self) -> bool:
        resident = (sequence.owner for sequence in (*self._parked, *self._active))
        return any(owner is not None for owner in (*resident, *(state.owner for state in self._saved.sequences)))

    def owned(self) -> Iterator[SavedSequence]:
        """Copies of all that belongs to a conversation, to be kept on the disk."""
        for sequence in (*self._parked, *self._active):
            if sequence.owner is not None and (copy := self._copy(sequence)) is not None:
                yield copy
        yield from (state for state in self._saved.sequences if state.owner is not None)

    def clear(self) -> None:
        """Forget what the model's memory holds; running sequences must not be used any more. Copies on the host stay."""
        self._decoder.clear()
        self._cells.clear()
        self._active.clear()
        self._parked.clear()
        self._free = list(range(self._decoder.n_sequences - 1, -1, -1))

    # ------------------------------------------------------------------------------------------------------ matching
    def _best(self, ids: IntArray, prompt: TokenizedPrompt, offered: SavedSequence | None = None) -> _Start:
        best = _Start()
        for start in self._resident_starts(ids, prompt):
            if start.length > best.length:
                best = start
        for saved in (*self._saved.sequences, *((offered,) if offered is not None else ())):
            common = prompt.whole(min(shared_prefix(saved.ids, ids), len(ids) - 1))
            if common < best.length + _WORTH_COPYING:
                continue
            cuttable = common == len(saved.ids) or self._keeps_window(saved.first_position, prompt.position(common))
            length, checkpoint = self._reach(ids, common, cuttable=cuttable)
            if length >= best.length + _WORTH_COPYING:
                best = _Start(length, saved=saved, checkpoint=checkpoint)
        return best

    def _resident_starts(self, ids: IntArray, prompt: TokenizedPrompt) -> Iterator[_Start]:
        for donor in self._parked:
            common = self._common(donor, ids, prompt)
            length, checkpoint = self._reach(ids, common, cuttable=self._can_cut(donor, common))
            yield _Start(length, donor, None, checkpoint, takes_over=not self._worth_sharing(donor, length, checkpoint))
        for donor in self._active:
            length, checkpoint = self._reach(ids, self._common(donor, ids, prompt), cuttable=False)
            yield _Start(length, donor, None, checkpoint)

    @staticmethod
    def _common(donor: Sequence, ids: IntArray, prompt: TokenizedPrompt) -> int:
        """How many tokens a prompt can have in common with what a sequence has computed; its last one is never among them."""
        return prompt.whole(min(shared_prefix(donor.row.ids, ids), donor.n_past, len(ids) - 1))

    def _reach(self, ids: IntArray, common: int, *, cuttable: bool) -> tuple[int, Checkpoint | None]:
        """How far a prompt gets with a sequence that has `common` tokens in common with it; perhaps from a checkpoint."""
        if self._plain or (cuttable and common):
            return common, None
        checkpoint = self._saved.checkpoint(ids, common)
        return (len(checkpoint.ids), checkpoint) if checkpoint is not None else (0, None)

    def _worth_sharing(self, donor: Sequence, length: int, checkpoint: Checkpoint | None) -> bool:
        """Whether to share a parked sequence's beginning rather than use it up."""
        shareable = self._plain or checkpoint is not None
        spare = bool(self._free) or (self._plain and len(self._parked) > 1)
        return shareable and 2 * length < donor.n_past and spare

    def _can_cut(self, sequence: Sequence, length: int) -> bool:
        """Whether a sequence cut to `length` tokens can go on: the one place that knows the models' kinds of memory."""
        if length == sequence.n_past:
            return True
        match self._decoder.memory:
            case MemoryKind.PLAIN:
                return True
            case MemoryKind.WINDOWED:
                first = self._decoder.first_position(sequence.id)
                return self._keeps_window(first, sequence.prompt.position(length))
            case MemoryKind.RECURRENT:
                return False

    def _keeps_window(self, first_position: int, position: int) -> bool:
        """Whether the window before `position` is still there; llama.cpp would cut all the same and go on with a hole."""
        if self._decoder.memory is not MemoryKind.WINDOWED:
            return self._plain
        return first_position <= max(0, position - self._decoder.n_window)

    # -------------------------------------------------------------------------------------------------- taking, giving
    def _room_for(self, start: _Start, n_tokens: int, reserve: int) -> bool:
        needed = n_tokens - start.length + reserve
        if start.saved is not None:
            # It is put back whole, and cut then.
            needed = max(n_tokens, len(start.saved.ids)) + reserve
        elif start.takes_over and start.donor is not None:
            needed -= start.donor.n_past - start.length
        return self.make_room(needed, keep=start.donor)

    def _begin(self, start: _Start, row: TokenRow, prompt: TokenizedPrompt, owner: str | None) -> Sequence:
        donor, length = start.donor, start.length
        if donor is not None and start.takes_over:
            sequence = Sequence(self._use_up(donor, length), row, prompt, owner=owner)
        else:
            sequence = Sequence(self._number(keep=donor), row, prompt, owner=owner)
            if start.saved is not None:
                length = self._put_back(start.saved, sequence.id, length)
            elif donor is not None and length:
                self._decoder.copy(donor.id, sequence.id, prompt.position(length))
                self._cells.share(donor.id, sequence.id, length)
                self._touch(donor)
        self._settle(sequence, length, start.checkpoint)
        self._touch(sequence)
        return sequence

    def _use_up(self, donor: Sequence, length: int) -> int:
        """Take a parked sequence's place in memory; a copy is kept if most of it is about to be cut off."""
        self._parked.remove(donor)
        if 2 * length < donor.n_past:
            self._save(donor)
        return donor.id

    def _put_back(self, saved: SavedSequence, number: int, length: int) -> int:
        """Copy a saved sequence into memory; 0 if llama.cpp refuses it. Most of it in use means that it moves."""
        if not self._decoder.restore(number, saved.data):
            self._let_go(saved)
            return 0
        self._cells.grow(number, len(saved.ids))
        if 2 * length >= len(saved.ids):
            self._let_go(saved)
        else:
            self._saved.touch(saved)
        return length

    def _let_go(self, saved: SavedSequence) -> None:
        # A suspended request's copy is its own.
        if any(saved is one for one in self._saved.sequences):
            self._saved.take(saved)

    def _settle(self, sequence: Sequence, length: int, checkpoint: Checkpoint | None) -> None:
        """Cut what has been taken over, shared or put back to `length` tokens; to none if that fails."""
        if checkpoint is not None and length:
            self._saved.touch(checkpoint)
            if not self._decoder.restore(sequence.id, checkpoint.data, uncuttable=True):
                length = 0
        if not self._decoder.remove(sequence.id, sequence.prompt.position(length) if length else 0) and length:
            self._decoder.remove(sequence.id, 0)
            length = 0
        self._cells.cut(sequence.id, length)
        sequence.n_past = length

    def _boundaries(self, sequence: Sequence, start: _Start) -> set[int]:
        """Where to leave checkpoints: at turns, and where this prompt departs from what others had in common with it."""
        ids, prompt, first = sequence.row.ids, sequence.prompt, sequence.n_past
        resident = (self._common(other, ids, prompt) for other in (*self._parked, *self._active) if other is not sequence)
        saved = (prompt.whole(min(shared_prefix(other.ids, ids), len(ids) - 1)) for other in self._saved.sequences)
        common = max((*resident, *saved), default=0)
        wanted = {*turn_starts(ids, self._is_control), common if common >= _WORTH_WAITING else 0}
        return {b for b in wanted if max(first, start.length) < b < len(ids) and prompt.whole(b) == b}

    def _keep_checkpoint(self, sequence: Sequence) -> None:
        ids = sequence.row.ids[: sequence.n_past]
        if not self._saved.enabled:
            return
        if (known := self._saved.checkpoint(ids, len(ids))) is not None and len(known.ids) == len(ids):
            self._saved.touch(known)
            return
        data = self._decoder.save(sequence.id, uncuttable=True)
        if data is not None:
            self._saved.keep(Checkpoint(ids.copy(), data))

    def _number(self, keep: Sequence | None) -> int:
        if not self._free:
            self._evict(min((s for s in self._parked if s is not keep), key=lambda s: s.used))
        return self._free.pop()

    def _clear_the_way(self) -> None:
        """Parked sequences hold cells of their own, and cells that running ones share, which cost nothing more."""
        if self._max_parked_cells is None:
            return
        while self._parked and self._cells.used_without({active.id for active in self._active}) > self._max_parked_cells:
            self._evict(min(self._parked, key=lambda parked: parked.used))

    def _evict(self, sequence: Sequence) -> None:
        self._parked.remove(sequence)
        self._save(sequence)
        self._release(sequence)

    def _save(self, sequence: Sequence) -> None:
        if (self._saved.enabled or sequence.owner is not None) and (copy := self._copy(sequence)) is not None:
            self._saved.keep(copy)

    def _copy(self, sequence: Sequence) -> SavedSequence | None:
        if sequence.n_past < _WORTH_COPYING:
            return None
        data = self._decoder.save(sequence.id)
        if data is None:
            return None
        ids = sequence.row.ids[: sequence.n_past].copy()
        first = self._decoder.first_position(sequence.id)
        if self._decoder.memory is MemoryKind.WINDOWED:
            # Of a window, no more is saved than what the next token needs, though more may still be there.
            first = max(first, sequence.position - self._decoder.n_window)
        return SavedSequence(ids, data, max(0, first), sequence.owner)

    def _release(self, sequence: Sequence) -> None:
        self._decoder.remove(sequence.id, 0)
        self._cells.drop(sequence.id)
        self._free.append(sequence.id)

    def _touch(self, sequence: Sequence) -> None:
        self._clock += 1
        sequence.used = self._clock
