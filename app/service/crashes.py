"""Which models keep crashing."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CrashRecord"]

_LIMIT = 3
_WINDOW_S = 300.0
_CRASHED = "its process stopped unexpectedly; the next request loads it again."
_DOWN = (
    "its process stopped unexpectedly three times within five minutes, so it is not loaded again by itself. "
    "Load it by hand, or start Hearth again, to try once more; a shorter context or fewer GPU layers may help."
)


class CrashRecord:
    """Counts crashes per model. Three within five minutes, and the model is down until it is forgiven."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back."""
        self._clock = clock
        self._times: dict[str, list[float]] = {}
        self._down: set[str] = set()

    def add(self, model_id: str) -> None:
        now = self._clock()
        recent = [time for time in self._times.get(model_id, ()) if now - time < _WINDOW_S]
        self._times[model_id] = [*recent, now]
        if len(self._times[model_id]) >= _LIMIT:
            self._down.add(model_id)

    def reason(self, model_id: str) -> str:
        """What to tell of the model's last crash; it completes "The model can't be used: …"."""
        return _DOWN if self.is_down(model_id) else _CRASHED

    def is_down(self, model_id: str) -> bool:
        return model_id in self._down

    def forgive(self, model_id: str) -> None:
        """Start counting anew: a person asked for the model."""
        self._times.pop(model_id, None)
        self._down.discard(model_id)
