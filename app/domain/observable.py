"""Telling others that something changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Observable"]

T = TypeVar("T")


class Observable(Generic[T]):
    """A list of listeners. They are called on the thread that calls `notify` and must return at once."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[T], None]] = []

    def subscribe(self, listener: Callable[[T], None]) -> Callable[[], None]:
        """Add a listener; the returned function removes it."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def notify(self, value: T) -> None:
        for listener in tuple(self._listeners):
            listener(value)
