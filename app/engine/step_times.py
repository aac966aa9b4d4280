"""Where the time of the steps goes: five stamps a step, under a microsecond together."""

from __future__ import annotations

from time import perf_counter_ns

from app.domain.generation import Usage
from app.domain.stats import EngineStats

__all__ = ["StepTimes"]


class StepTimes:
    """Adds up nanoseconds and tokens. Engine thread only."""

    def __init__(self) -> None:
        self._steps = 0
        self._fill = self._decode = self._sample = self._post = 0
        self._prompt_tokens = self._cached_tokens = self._written_tokens = 0
        self._drafted = self._accepted = 0
        self._stamp = 0

    def begin(self) -> None:
        self._stamp = perf_counter_ns()

    def filled(self) -> None:
        self._fill += self._lap()

    def decoded(self) -> None:
        self._decode += self._lap()

    def sampled(self) -> None:
        self._sample += self._lap()

    def end(self) -> None:
        self._post += self._lap()
        self._steps += 1

    def guessed(self, drafted: int, accepted: int) -> None:
        self._drafted += drafted
        self._accepted += accepted

    def answered(self, usage: Usage) -> None:
        self._prompt_tokens += usage.prompt_tokens
        self._cached_tokens += usage.cached_tokens
        self._written_tokens += usage.completion_tokens

    def stats(self, send_ns: int, **standing: int) -> EngineStats:
        """All of it, with the time that sending took and how things stand."""
        return EngineStats(
            steps=self._steps,
            fill_s=self._fill / 1e9,
            decode_s=self._decode / 1e9,
            sample_s=self._sample / 1e9,
            post_s=self._post / 1e9,
            send_s=send_ns / 1e9,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            written_tokens=self._written_tokens,
            drafted=self._drafted,
            accepted=self._accepted,
            **standing,
        )

    def _lap(self) -> int:
        now = perf_counter_ns()
        passed, self._stamp = now - self._stamp, now
        return passed
