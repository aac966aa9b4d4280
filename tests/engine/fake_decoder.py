"""A decoder without llama.cpp that remembers as llama.cpp does, and refuses what would give a wrong answer there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.domain.generation import SamplingParams
from app.engine.batch import Batch
from app.engine.decoder import ByteArray, DecodeResult, FloatArray, IntArray, MemoryKind, PictureTokens

__all__ = ["N_TOKENS", "FakeChain", "FakeDecoder", "letters", "picture_token"]

N_TOKENS = 259


def letters(tokens: Iterable[int]) -> int:
    """A letter that depends on every token before it: a wrong prefix gives a wrong answer."""
    value = 7
    for token in tokens:
        value = (value * 31 + token) % 1_000_003
    return ord("a") + value % 26


def picture_token(picture: PictureTokens, index: int) -> int:
    """What the fake model sees at one place of a picture."""
    return 1000 + picture.key[index % len(picture.key)]


class FakeChain:
    """Draws the candidate that its seed points at."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.closed = False

    def choose(self, ids: IntArray, logits: FloatArray, *, cut: bool = False) -> int:
        return int(ids[self._random.integers(len(ids))])

    def accept(self, token: int) -> None: ...

    def close(self) -> None:
        self.closed = True


@dataclass(slots=True, eq=False)
class _Cell:
    token: int
    position: int
    owners: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Held:
    """What is remembered of a sequence: `cells` of the layers that forget nothing, and the part that can't be cut.

    That part is right for a sequence that goes on at position `reach`. `window` are the cells of the layers that forget.
    """

    cells: list[_Cell] = field(default_factory=list)
    window: list[_Cell] = field(default_factory=list)
    next: int = 0
    reach: int = 0
    spoilt: bool = False


class FakeDecoder:
    """Remembers every token of every sequence, refuses gaps, and counts cells by itself.

    `answer` chooses the next token from all before it. `results` are returned by the next decodes instead of OK; of an aborted
    batch the first `computed_before_abort` tokens are kept. A window keeps up to `n_kept` positions that nobody needs any more,
    as llama.cpp does until it needs their cells; `n_window_cells` is how many cells the windows of all sequences have.
    """

    def __init__(
        self,
        *,
        answer: Callable[[Sequence[int]], int] = letters,
        n_cells: int = 1024,
        n_sequences: int = 8,
        n_batch: int = 512,
        memory: MemoryKind = MemoryKind.PLAIN,
        n_window: int = 0,
        n_kept: int | None = None,
        n_window_cells: int | None = None,
        n_ubatch: int = 512,
    ) -> None:
        self._answer = answer
        self.n_cells = n_cells
        self.n_sequences = n_sequences
        self.n_window = n_window
        self.memory = memory
        self.batch = Batch(n_batch)
        self.results: list[DecodeResult] = []
        self.picture_results: list[DecodeResult] = []
        self.computed_before_abort = 0
        self.batches: list[dict[int, int]] = []
        # Batches for which the cells did not suffice: who counts them never asks for more.
        self.overfilled = 0
        self.interrupted = 0
        self.closed = False
        self.chains: list[FakeChain] = []
        self.saves = 0
        self.restores = 0
        self.refuse_restore = False
        self.refuse_save = False
        self._n_kept = n_window if n_kept is None else n_kept
        self._n_window_cells = n_window_cells
        self._n_ubatch = n_ubatch
        self._held: dict[int, _Held] = {}
        self._spoilt = False
        self._rows: list[FloatArray] = []

    # --------------------------------------------------------------------------------------------------- what tests ask
    @property
    def used_cells(self) -> int:
        return len({cell for held in self._held.values() for cell in held.cells})

    def tokens(self, sequence: int) -> list[int]:
        """What is remembered of a sequence."""
        return [cell.token for cell in self._of(sequence).cells]

    # -------------------------------------------------------------------------------------------------------- computing
    def decode(self) -> DecodeResult:
        result = self.results.pop(0) if self.results else DecodeResult.OK
        batch, self._rows = self.batch, []
        assert 0 < batch.n_tokens <= batch.capacity
        match result:
            case DecodeResult.NO_SPACE | DecodeResult.INVALID:
                return result
            case DecodeResult.FAILED:
                self._spoilt = True
                return result
        if self.used_cells + batch.n_tokens > self.n_cells:
            self.overfilled += 1
            return DecodeResult.NO_SPACE
        if not self._window_has_room(min(batch.n_tokens, self._n_ubatch)):
            return DecodeResult.NO_SPACE
        aborted = result is DecodeResult.ABORTED
        n_computed = min(batch.n_tokens - 1, self.computed_before_abort) if aborted else batch.n_tokens
        if n_computed:
            self.batches.append({})
        for i in range(n_computed):
            self._append(int(batch.sequences[i]), int(batch.tokens[i]), int(batch.positions[i]), bool(batch.outputs[i]))
        if aborted:
            self._rows = []
            if self.memory is MemoryKind.RECURRENT:
                # Some layers' state may have moved on and others' not.
                for sequence in batch.sequences[: batch.n_tokens].tolist():
                    self._of(sequence).spoilt = True
        return result

    def decode_picture(self, picture: PictureTokens, *, sequence: int, position: int) -> DecodeResult:
        result = self.picture_results.pop(0) if self.picture_results else DecodeResult.OK
        no_space = self.used_cells + picture.n_tokens > self.n_cells or not self._window_has_room(picture.n_tokens)
        if no_space or result is not DecodeResult.OK:
            self._of(sequence).spoilt = True
            return DecodeResult.NO_SPACE if no_space else result
        self.batches.append({})
        held = self._of(sequence)
        for i in range(picture.n_tokens):
            place = position + min(i, picture.n_positions - 1)
            if i < picture.n_positions:
                self._append(sequence, picture_token(picture, i), place, False)
            else:
                self._add_cell(held, sequence, picture_token(picture, i), place)
        return DecodeResult.OK

    def _append(self, sequence: int, token: int, position: int, output: bool) -> None:
        assert 0 <= sequence < self.n_sequences
        held = self._of(sequence)
        assert not self._spoilt, "computed on a memory that a failure has spoilt"
        assert not held.spoilt, "computed on a sequence that a failure has spoilt"
        assert position == held.next, f"position {position} after {held.next}"
        assert held.reach == held.next, f"goes on at {held.next} with what can't be cut of {held.reach}"
        if self.memory is MemoryKind.WINDOWED:
            assert self._first(held) <= max(0, position - self.n_window + 1), "a hole in the window"
        self._add_cell(held, sequence, token, position)
        held.next = held.reach = position + 1
        self._forget_old(held)
        self.batches[-1][sequence] = self.batches[-1].get(sequence, 0) + 1
        if output:
            row = np.linspace(-1, 0, N_TOKENS, dtype=np.float32)
            row[self._answer([cell.token for cell in held.cells])] = 10
            self._rows.append(row)

    def _add_cell(self, held: _Held, sequence: int, token: int, position: int) -> None:
        held.cells.append(_Cell(token, position, {sequence}))
        if self.memory is MemoryKind.WINDOWED:
            held.window.append(_Cell(token, position, {sequence}))

    def logits(self) -> FloatArray:
        return np.stack(self._rows)

    # -------------------------------------------------------------------------------------------------------- windows
    def _first(self, held: _Held) -> int:
        return held.window[0].position if held.window else held.reach

    def _forget_old(self, held: _Held) -> None:
        """llama.cpp takes cells outside the window again, unless another sequence holds them too; no hole stays before one."""
        while held.window and held.window[0].position <= held.next - self.n_window - self._n_kept:
            if len(held.window[0].owners) > 1:
                return
            held.window.pop(0)

    def _window_has_room(self, n_tokens: int) -> bool:
        if self._n_window_cells is None or self.memory is not MemoryKind.WINDOWED:
            return True
        needed = {
            cell
            for held in self._held.values()
            for cell in held.window
            if len(cell.owners) > 1 or cell.position > held.reach - self.n_window
        }
        return len(needed) + n_tokens <= self._n_window_cells

    def _drop_window(self, held: _Held, sequence: int, start: int = 0) -> None:
        for cell in held.window:
            if cell.position >= start:
                cell.owners.discard(sequence)
        held.window = [cell for cell in held.window if cell.position < start]

    # ---------------------------------------------------------------------------------------------- cutting and copying
    def remove(self, sequence: int, start: int) -> bool:
        held = self._of(sequence)
        if start <= 0:
            self._drop_window(held, sequence)
            for cell in held.cells:
                cell.owners.discard(sequence)
            self._held.pop(sequence, None)
            return True
        if self.memory is MemoryKind.RECURRENT:
            assert start >= held.reach, "a running state can't be cut"
        for cell in held.cells:
            if cell.position >= start:
                cell.owners.discard(sequence)
        held.cells = [cell for cell in held.cells if cell.position < start]
        # What is missing in a window shows when it is computed on: llama.cpp cuts without a word.
        self._drop_window(held, sequence, start)
        held.next, held.reach = min(held.next, start), min(held.reach, start)
        return True

    def copy(self, source: int, target: int, end: int) -> None:
        assert not self._of(target).cells
        assert not self._of(source).spoilt
        held = self._of(source)
        shared = _Held(
            [cell for cell in held.cells if cell.position < end],
            [cell for cell in held.window if cell.position < end],
            end,
            # A running state is copied as it is, wherever it stands.
            held.reach if self.memory is MemoryKind.RECURRENT else min(held.reach, end),
        )
        for cell in (*shared.cells, *shared.window):
            cell.owners.add(target)
        self._held[target] = shared

    def first_position(self, sequence: int) -> int:
        held = self._of(sequence)
        match self.memory:
            case MemoryKind.PLAIN:
                return 0 if held.cells else -1
            case MemoryKind.WINDOWED:
                return held.window[0].position if held.window else -1
            case MemoryKind.RECURRENT:
                return held.reach - 1

    def next_position(self, sequence: int) -> int:
        held = self._of(sequence)
        return min(held.next, held.reach)

    # --------------------------------------------------------------------------------------------- saving and restoring
    def save(self, sequence: int, *, uncuttable: bool = False) -> ByteArray | None:
        """Like llama.cpp, saves no more of a window than what the next token needs."""
        held = self._of(sequence)
        assert not self._spoilt, "a spoilt memory was saved"
        assert not held.spoilt, "a spoilt sequence was saved"
        assert held.reach == held.next
        self.saves += 1
        if self.refuse_save:
            return None
        first = max(self._first(held), held.reach - self.n_window) if self.memory is MemoryKind.WINDOWED else 0
        if uncuttable:
            values = [held.reach, first, *_digest(held.cells)]
        else:
            values = [held.reach, first, *(value for cell in held.cells for value in (cell.token, cell.position))]
        return np.array(values, np.int32).view(np.uint8)

    def restore(self, sequence: int, data: ByteArray, *, uncuttable: bool = False) -> bool:
        reach, first, *values = data.view(np.int32).tolist()
        if uncuttable:
            return self._restore_uncuttable(sequence, reach, first, values)
        self.remove(sequence, 0)
        cells = [_Cell(token, position, {sequence}) for token, position in zip(values[::2], values[1::2], strict=True)]
        window = [_Cell(cell.token, cell.position, {sequence}) for cell in cells if cell.position >= first]
        if self.memory is not MemoryKind.WINDOWED:
            window = []
        fits = self.used_cells + len(cells) <= self.n_cells and self._window_has_room(len(window))
        if self.refuse_restore or not fits:
            return False
        self._held[sequence] = _Held(cells, window, reach, reach)
        self.restores += 1
        return True

    def _restore_uncuttable(self, sequence: int, reach: int, first: int, digest: list[int]) -> bool:
        assert self.memory is not MemoryKind.PLAIN
        held = self._of(sequence)
        before = [cell for cell in held.cells if cell.position < reach]
        assert _digest(before) == digest, "a checkpoint of other tokens"
        self._drop_window(held, sequence)
        if self.refuse_restore or not self._window_has_room(reach - first):
            self.remove(sequence, 0)
            return False
        if self.memory is MemoryKind.WINDOWED:
            held.window = [_Cell(cell.token, cell.position, {sequence}) for cell in before if cell.position >= first]
        held.reach = reach
        held.spoilt = False
        return True

    def clear(self) -> None:
        self._held.clear()
        self._spoilt = False

    def _of(self, sequence: int) -> _Held:
        return self._held.setdefault(sequence, _Held())

    # ------------------------------------------------------------------------------------------------------------ rest
    def interrupt(self) -> None:
        self.interrupted += 1

    def chain(self, params: SamplingParams, *, seed: int) -> FakeChain:
        self.chains.append(FakeChain(seed))
        return self.chains[-1]

    def close(self) -> None:
        self.closed = True


def _digest(cells: list[_Cell]) -> list[int]:
    value = 7
    for cell in cells:
        value = (value * 31 + cell.token) % 1_000_003
    return [len(cells), value]
