"""Leaving out the oldest turns of a conversation that has become too long for its model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.domain.messages import Message, Role

__all__ = ["ShorterVersions", "room_for_answer"]

_INSTRUCTIONS = (Role.SYSTEM, Role.DEVELOPER)


class ShorterVersions:
    """The conversation whole, then with ever more of its oldest turns left out, each version made when it is asked for.

    Instructions stay, and so does the last question. First go whole exchanges, each a question with what answered it; then, of
    what has been done since the last question, the calls with their results, but not the latest.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        groups = list(_groups(messages))
        last_question = max((index for index, group in enumerate(groups) if group[0].role is Role.USER), default=-1)
        leaving = [*_exchanges(groups, last_question), *_steps(groups, last_question)]
        self._last = len(leaving)
        last_with = {index: version for version, going in enumerate(leaving) for index in going}
        self._groups = [(last_with.get(index, self._last), group) for index, group in enumerate(groups)]

    def __len__(self) -> int:
        return self._last + 1

    def __getitem__(self, version: int) -> tuple[Message, ...]:
        return tuple(message for last, group in self._groups if last >= version for message in group)


def room_for_answer(n_ctx: int, max_tokens: int | None) -> int:
    """How many tokens of a context are left for the answer."""
    return min(max_tokens, n_ctx // 2) if max_tokens is not None else n_ctx // 4


def _groups(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """A message, and the results of the calls in it."""
    group: list[Message] = []
    for message in messages:
        if group and message.role is not Role.TOOL:
            yield group
            group = []
        group.append(message)
    if group:
        yield group


def _exchanges(groups: list[list[Message]], last_question: int) -> Iterator[list[int]]:
    going: list[int] = []
    for index, group in enumerate(groups[: max(last_question, 0)]):
        if group[0].role is Role.USER and going:
            yield going
            going = []
        if group[0].role not in _INSTRUCTIONS:
            going.append(index)
    if going:
        yield going


def _steps(groups: list[list[Message]], last_question: int) -> Iterator[list[int]]:
    for index in range(last_question + 1, len(groups) - 1):
        if groups[index][0].role not in _INSTRUCTIONS:
            yield [index]
