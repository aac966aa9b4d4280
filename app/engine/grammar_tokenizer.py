"""When the tokenizer for grammars is built: beside the engine while it rests, or when the first grammar needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from app.domain.errors import GenerationFailed, UnsupportedContent

__all__ = ["GrammarTokenizer", "MakeTokenizer"]

# A model that was loaded for a request gets that request within this time.
_LOOK_EVERY_S = 0.5


class MakeTokenizer(Protocol):
    def __call__(self, *, stopped: Callable[[], bool]) -> Any:
        """A llguidance tokenizer, or None if `stopped` said so in between. Raises ValueError for a vocabulary it can't take."""
        ...


class GrammarTokenizer:
    """Built once. `get` may be called from any thread, `start` and `close` from the engine thread.

    Building takes about a second for a large vocabulary, nearly half of which holds the interpreter lock in two long moments:
    an engine that is writing would stand still. So the thread waits until nothing is being written.
    """

    def __init__(self, make: MakeTokenizer) -> None:
        self._make = make
        self._building = threading.Lock()
        self._closed = threading.Event()
        self._built: Any = None
        self._problem: str | None = None
        self._thread: threading.Thread | None = None

    def start(self, is_idle: Callable[[], bool]) -> None:
        """Build it on a thread of its own as soon as `is_idle`, which that thread asks now and then."""
        self._thread = threading.Thread(target=self._build_when, args=(is_idle,), name="grammar tokenizer", daemon=True)
        self._thread.start()

    def get(self) -> Any:
        """The tokenizer; builds it, or waits for it, if need be. Raises UnsupportedContent where there can be none."""
        self._build()
        if self._problem is not None:
            message = (
                f"This model's tokenizer can't be held to a grammar ({self._problem}). Leave out response_format and tools."
            )
            raise UnsupportedContent(message, param="response_format")
        if self._built is None:
            raise GenerationFailed("The model is being unloaded.")
        return self._built

    def close(self) -> None:
        """Must come before the vocabulary goes: stops what is being built, and joins the thread. Safe to call twice."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        with self._building:
            self._built = None

    def _build_when(self, is_idle: Callable[[], bool]) -> None:
        while self._built is None and not self._closed.wait(_LOOK_EVERY_S):
            if is_idle():
                self._build()
                return

    def _build(self) -> None:
        with self._building:
            if self._built is None and self._problem is None and not self._closed.is_set():
                try:
                    self._built = self._make(stopped=self._closed.is_set)
                except ValueError as error:
                    self._problem = str(error)
