from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from app.domain.errors import GenerationFailed, UnsupportedContent
from app.engine.grammar_tokenizer import GrammarTokenizer
from app.engine.llama.grammar import make_tokenizer
from app.engine.llama.model import LlamaModel


class _Maker:
    """Makes a tokenizer when it may."""

    def __init__(self) -> None:
        self.calls = 0
        self.may = threading.Event()
        self.begun = threading.Event()

    def __call__(self, *, stopped: Callable[[], bool]) -> object:
        self.calls += 1
        self.begun.set()
        while not self.may.wait(0.01):
            if stopped():
                return None
        return "made"


def _build_thread() -> threading.Thread:
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "grammar tokenizer")
    return thread


def test_it_is_built_once_when_the_engine_rests() -> None:
    make, tokenizer = _Maker(), None
    make.may.set()
    tokenizer = GrammarTokenizer(make)
    tokenizer.start(lambda: True)
    _build_thread().join(timeout=30)
    assert make.calls == 1
    assert tokenizer.get() == tokenizer.get() == "made"
    assert make.calls == 1
    tokenizer.close()


def test_it_is_not_built_beside_an_engine_that_works() -> None:
    make, asked = _Maker(), threading.Event()
    tokenizer = GrammarTokenizer(make)

    def is_idle() -> bool:
        asked.set()
        return False

    tokenizer.start(is_idle)
    assert asked.wait(30)
    tokenizer.close()
    assert make.calls == 0


def test_the_first_grammar_builds_it_without_waiting_for_rest() -> None:
    make = _Maker()
    make.may.set()
    tokenizer = GrammarTokenizer(make)
    tokenizer.start(lambda: False)
    assert tokenizer.get() == "made"
    tokenizer.close()


def test_closing_stops_what_is_being_built_and_leaves_no_thread() -> None:
    make = _Maker()
    tokenizer = GrammarTokenizer(make)
    tokenizer.start(lambda: True)
    assert make.begun.wait(30)
    thread = _build_thread()
    tokenizer.close()
    tokenizer.close()
    assert not thread.is_alive()


def test_a_vocabulary_that_can_not_have_one_is_told_so_each_time_and_tried_once() -> None:
    tried = []

    def fails(*, stopped: Callable[[], bool]) -> object:
        tried.append(stopped())
        raise ValueError("no sentinel")

    tokenizer = GrammarTokenizer(fails)
    for _ in range(2):
        with pytest.raises(UnsupportedContent, match="no sentinel"):
            tokenizer.get()
    assert tried == [False]


def test_after_closing_there_is_none() -> None:
    make = _Maker()
    tokenizer = GrammarTokenizer(make)
    tokenizer.close()
    with pytest.raises(GenerationFailed):
        tokenizer.get()
    assert make.calls == 0


def test_a_real_one_stops_between_two_chunks(ember_model: LlamaModel) -> None:
    assert make_tokenizer(ember_model.vocabulary, stopped=lambda: True) is None
    assert GrammarTokenizer(partial(make_tokenizer, ember_model.vocabulary)).get().vocab_size == ember_model.vocabulary.n_tokens
