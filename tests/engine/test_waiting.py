from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from app.domain.errors import EngineBusy
from app.engine.generation import Generation, PreparedGeneration
from app.engine.tokens import TokenizedPrompt
from app.engine.waiting import WaitingQueue
from tests.engine.fakes import FakeDecoder, FakeVocabulary, plan_of, say

_NAMES = itertools.count()


def _generation(*, preferred: bool = False) -> Generation:
    job = replace(say(str(next(_NAMES)), "x"), preferred=preferred)
    prompt = TokenizedPrompt(np.array([1], np.int32))
    return Generation(PreparedGeneration(job, prompt, None, 100, plan_of(job)), FakeDecoder(), FakeVocabulary())


def _queue(n: int, limit: int = 1000) -> tuple[WaitingQueue, list[Generation]]:
    queue, all_of_them = WaitingQueue(limit), [_generation() for _ in range(n)]
    for generation in all_of_them:
        queue.add(generation)
    return queue, all_of_them


def test_first_come_first_served() -> None:
    queue, waiting = _queue(5)
    assert list(queue) == waiting
    queue.remove(waiting[2])
    assert list(queue) == [*waiting[:2], *waiting[3:]]
    assert waiting[2] not in queue


def test_a_preferred_request_goes_before_those_that_wait() -> None:
    queue, waiting = _queue(5)
    preferred = _generation(preferred=True)
    queue.add(preferred)
    assert list(queue) == [preferred, *waiting]


def test_nobody_is_overtaken_without_end() -> None:
    queue, (first,) = _queue(1)
    for _ in range(100):
        queue.add(_generation(preferred=True))
    assert list(queue).index(first) <= 64


def test_one_that_has_to_wait_again_stands_where_it_stood() -> None:
    queue, waiting = _queue(5)
    queue.remove(waiting[1])
    queue.put_back(waiting[1])
    assert list(queue) == waiting


def test_a_full_queue_takes_no_more() -> None:
    queue, _ = _queue(3, limit=3)
    with pytest.raises(EngineBusy):
        queue.check_room()
    queue.clear()
    queue.check_room()
    assert not len(queue)
