"""What a step costs on this machine, learned while working: how fast prompts are read, and what one more row adds."""

from __future__ import annotations

__all__ = ["Pace"]

# How long reading prompts may hold up a step, with and without an answer being written beside it.
_SHARED_STEP_S = 0.25
_LONE_STEP_S = 1.0
# Of a prompt: 32 tokens at once cost half as much again as 128, each.
_MIN_CHUNK = 64
# Prompts that nobody waits beside are read in whole physical batches: smaller ones are slower.
_LONE_CHUNK = 512
_NEWEST = 0.3
_NEWEST_STEP = 0.1
_ROWS = 64
# What a further row adds to a step of one, as a share of it, until that has been seen: on processors it is much.
_GUESSED_ROW = 0.5
_ENOUGH = 3


class Pace:
    """Moving averages of what was measured. Engine thread only."""

    def __init__(self) -> None:
        self.tokens_per_s = 0.0
        self._step_s = [0.0] * (_ROWS + 1)
        self._seen = [0] * (_ROWS + 1)

    def measure(self, *, n_read: int, n_written: int, seconds: float) -> None:
        """A batch of `n_read` prompt tokens and `n_written` rows of answers took `seconds`."""
        if seconds <= 0:
            return
        if not n_read and 0 < n_written <= _ROWS:
            known = self._step_s[n_written]
            self._step_s[n_written] = seconds if not known else (1 - _NEWEST_STEP) * known + _NEWEST_STEP * seconds
            self._seen[n_written] += 1
        elif n_read >= _MIN_CHUNK and n_read >= n_written:
            rate = (n_read + n_written) / seconds
            self.tokens_per_s = rate if not self.tokens_per_s else (1 - _NEWEST) * self.tokens_per_s + _NEWEST * rate

    def chunk(self, *, alone: bool) -> int:
        """How many prompt tokens a step should read, so that answers keep their pace and a cancelled prompt ends soon."""
        if alone:
            return max(_LONE_CHUNK, int(self.tokens_per_s * _LONE_STEP_S))
        return max(_MIN_CHUNK, int(self.tokens_per_s * _SHARED_STEP_S))

    def step_s(self, n_rows: int) -> float:
        """What a step of answers alone takes; 0 until it has been seen."""
        return self._step_s[n_rows] if n_rows <= _ROWS else 0.0

    def knows(self, n_rows: int) -> bool:
        """Whether steps of so many rows have been seen."""
        return n_rows <= _ROWS and self._seen[n_rows] >= _ENOUGH

    def knows_more(self, n_rows: int) -> bool:
        """Whether steps of another number of rows have been seen too, and so what a row costs."""
        return any(seen >= _ENOUGH for rows, seen in enumerate(self._seen) if rows != n_rows)

    def ratio(self, n_rows: int, more: int) -> float:
        """How many times as long a step takes with `more` rows than with `n_rows`; a guess until it has been seen."""
        total = n_rows + more
        if total > _ROWS:
            return float("inf")
        if not self.knows(n_rows):
            return 1 + _GUESSED_ROW * more
        if self._seen[total] >= _ENOUGH:
            return max(1.0, self._step_s[total] / self._step_s[n_rows])
        # Along the line through this and the next larger step that has been seen, else the next smaller one.
        for other in (*range(total, _ROWS + 1), *range(total, 0, -1)):
            if other != n_rows and self._seen[other] >= _ENOUGH:
                row_s: float = (self._step_s[other] - self._step_s[n_rows]) / (other - n_rows)
                return max(1.0, 1.0 + row_s * more / self._step_s[n_rows])
        return 1 + _GUESSED_ROW * more
