"""Gathering the deltas of one step, with the log probabilities of the tokens they were made of."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from app.domain.generation import ReasoningDelta, TextDelta, TokenLogprob, ToolArgumentsDelta, ToolCallStarted
from app.domain.prompt import Piece

__all__ = ["Delta", "DeltaLedger"]

Delta: TypeAlias = ReasoningDelta | TextDelta | ToolCallStarted | ToolArgumentsDelta


class DeltaLedger:
    """Every character that comes in by `receive` must leave, in order, by `reason`, `say` or `swallow`.

    A token belongs to the delta in which its first visible character leaves.
    """

    def __init__(self) -> None:
        self._deltas: list[Delta] = []
        self._call = -1
        # Tokens with the number of their characters that have not left; the logprob is None once it was given away.
        self._tokens: deque[tuple[TokenLogprob | None, int]] = deque()

    def receive(self, piece: Piece) -> None:
        self._tokens.append((piece.logprob, len(piece.text)))

    def reason(self, text: str) -> None:
        if text:
            self._deltas.append(ReasoningDelta(text, self._leave(len(text))))

    def say(self, text: str) -> None:
        if text:
            self._deltas.append(TextDelta(text, self._leave(len(text))))

    def call(self, call_id: str, name: str) -> None:
        """Another call begins; they are numbered from 0."""
        self._call += 1
        self._deltas.append(ToolCallStarted(self._call, call_id, name))

    def argue(self, text: str) -> None:
        """More of the last call's arguments. They are not what came in to the letter: the characters leave by `swallow`."""
        if text:
            self._deltas.append(ToolArgumentsDelta(self._call, text))

    def swallow(self, count: int) -> None:
        """Characters that no one sees: markers, the JSON around arguments, blanks."""
        self._leave(count)

    def say_rest(self) -> None:
        """At the end: tokens without text, as of a character that was never finished."""
        if logprobs := self._leave(0):
            self._deltas.append(TextDelta("", logprobs))

    def take(self) -> tuple[Delta, ...]:
        """The deltas since the last time; neighbours of one kind are one."""
        deltas, self._deltas = self._deltas, []
        joined: list[Delta] = []
        for delta in deltas:
            match joined[-1] if joined else None, delta:
                case TextDelta(first, logprobs), TextDelta(second, more):
                    joined[-1] = TextDelta(first + second, logprobs + more)
                case ReasoningDelta(first, logprobs), ReasoningDelta(second, more):
                    joined[-1] = ReasoningDelta(first + second, logprobs + more)
                case ToolArgumentsDelta(index, first), ToolArgumentsDelta(other, second) if index == other:
                    joined[-1] = ToolArgumentsDelta(index, first + second)
                case _:
                    joined.append(delta)
        return tuple(joined)

    def _leave(self, count: int) -> tuple[TokenLogprob, ...]:
        given: list[TokenLogprob] = []
        while self._tokens and (count or self._tokens[0][1] == 0):
            logprob, left = self._tokens.popleft()
            if logprob is not None:
                given.append(logprob)
            if left > count:
                self._tokens.appendleft((None, left - count))
                break
            count -= left
        return tuple(given)
