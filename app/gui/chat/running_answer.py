"""An answer on its way, whether or not its conversation is the one on the screen."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.domain.generation import GenerationEvent, PrefillProgress
from app.gui.bridge import Reply

__all__ = ["RunningAnswer"]


class RunningAnswer(QObject):
    """Remembers what has arrived, so that a view made later can catch up. Qt thread."""

    arrived = Signal(object)
    failed = Signal(object)
    done = Signal()

    def __init__(self, reply: Reply, conversation_id: str, model: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.conversation_id = conversation_id
        self.model = model
        self.error: BaseException | None = None
        self._events: list[GenerationEvent] = []
        self._reply = reply
        reply.arrived.connect(self._take)
        reply.failed.connect(self._fail)
        reply.done.connect(self.done)

    @property
    def events(self) -> tuple[GenerationEvent, ...]:
        """All that has arrived, in order."""
        return tuple(self._events)

    def start(self) -> None:
        self._reply.start()

    def stop(self) -> None:
        """End it; what has been written stays. `done` follows."""
        self._reply.cancel()

    def _take(self, event: GenerationEvent) -> None:
        if self._events and isinstance(self._events[-1], PrefillProgress):
            self._events.pop()
        self._events.append(event)
        self.arrived.emit(event)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self.failed.emit(error)
