"""The part of an answer that no grammar binds, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.prompt import Constraint

__all__ = ["FreeText"]


@dataclass(frozen=True, slots=True)
class _State:
    """What is waited for: texts, with what begins behind each of them (None: the grammar)."""

    texts: tuple[tuple[bytes, str | None], ...]
    longest: int


class FreeText:
    """Reads a free text piece by piece, until what makes a grammar bind has appeared, however it is split into tokens.

    First `after` is waited for, if there is one; then the triggers, if there are any, or the beginning of an aside, in which
    only its end is waited for.
    """

    def __init__(self, constraint: Constraint) -> None:
        begun = "text" if constraint.triggers else None
        aside = constraint.aside
        opening = [(aside[0].encode(), "aside")] if aside else []
        self._states = {
            "after": _state([(constraint.after.encode(), begun)]),
            "text": _state([*((trigger.encode(), None) for trigger in constraint.triggers), *opening]),
            "aside": _state([(aside[1].encode(), "text")] if aside else []),
        }
        self._now: str | None = "after" if constraint.after else "text"
        self._tail = b""

    @property
    def lasts(self) -> bool:
        """Whether the grammar does not bind yet."""
        return self._now is not None

    def behind(self, piece: bytes) -> bytes | None:
        """What of `piece` would be bound by the grammar; None if the text would still be free."""
        now, text = self._follow(piece)
        return text if now is None else None

    def read(self, piece: bytes) -> bytes | None:
        """Move on by a piece, and return what of it the grammar binds; None if the text is still free."""
        self._now, text = self._follow(piece)
        self._tail = text if self._now is not None else b""
        return text if self._now is None else None

    def begin_again(self) -> None:
        """A bound passage is over: wait for the next trigger."""
        self._now, self._tail = "text", b""

    def _follow(self, piece: bytes) -> tuple[str | None, bytes]:
        """The state after a piece, and what is left over: the tail to remember, or what the grammar binds."""
        now, text = self._now, self._tail + piece
        while now is not None:
            state = self._states[now]
            found = min(
                ((at, -len(word), next_state) for word, next_state in state.texts if (at := text.find(word)) >= 0),
                default=None,
                key=lambda hit: hit[:2],
            )
            if found is None:
                return now, text[-state.longest :] if state.longest else b""
            at, negative_length, now = found
            text = text[at - negative_length :]
        return None, text


def _state(texts: list[tuple[bytes, str | None]]) -> _State:
    # One byte less than the longest of them can still become it.
    return _State(tuple(texts), max((len(text) - 1 for text, _ in texts), default=0))
