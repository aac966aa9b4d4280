"""How well one answer's guessed tokens have done."""

from __future__ import annotations

__all__ = ["DraftRecord"]

_MEMORY = 0.8
_PRIOR = 2.0
# After so many steps without a guess another one is tried.
_TRY_AGAIN = 32


class DraftRecord:
    """Counts, and a moving average that forgets what is long ago. It begins with what `others` have come to."""

    def __init__(self, others: DraftRecord | None = None) -> None:
        self.drafted = 0
        self.accepted = 0
        self._others = others
        self._tried = _PRIOR
        self._taken = _PRIOR * (others.rate if others is not None else 0.5)
        self._since = 0

    @property
    def rate(self) -> float:
        """The chance that a guessed token is right."""
        return self._taken / self._tried

    def add(self, drafted: int, accepted: int) -> None:
        """A guess ends with its first wrong token: what stands after that was not tried."""
        tried = min(drafted, accepted + 1)
        self.drafted += drafted
        self.accepted += accepted
        self._tried = _MEMORY * self._tried + tried
        self._taken = _MEMORY * self._taken + accepted
        self._since = 0
        if self._others is not None:
            self._others.add(drafted, accepted)

    def skip(self) -> bool:
        """Count a step without a guess. Whether it is time to try again."""
        self._since += 1
        return self._since % _TRY_AGAIN == 0
