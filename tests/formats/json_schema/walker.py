"""Answers under a schema, token by token, as the engine holds a model to it."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from app.domain.prompt import Constraint
from app.engine.constraint import AnswerConstraint, ConstraintCompiler
from app.engine.llama.grammar import make_tokenizer
from app.engine.llama.model import LlamaModel, LlamaVocabulary

__all__ = ["Walker", "walking"]

_MOST_SPELLINGS = 24
_MOST_TOKENS = 150
# From here on the model is in a hurry.
_LONG = 30
_CLOSERS = frozenset('"]},:0123456789')


@contextmanager
def walking(model_path: Path) -> Iterator[Walker]:
    """A walker on a model's vocabulary."""
    model = LlamaModel.load(model_path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    compiler = ConstraintCompiler(model.vocabulary, partial(make_tokenizer, model.vocabulary))
    try:
        yield Walker(compiler, model.vocabulary)
    finally:
        compiler.close()
        model.close()


class Walker:
    def __init__(self, compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
        self._compiler = compiler
        self._vocabulary = vocabulary
        self._ends = tuple(vocabulary.eog_tokens)
        self._closing = {
            token
            for token in range(vocabulary.n_tokens)
            if _CLOSERS.issuperset(vocabulary.piece(token).decode("utf-8", "replace"))
        }

    def accepts(self, schema: str, instance: Any) -> bool:
        """Whether a model could answer with the instance, its properties in some order."""
        spelled = itertools.islice(_spellings(instance), _MOST_SPELLINGS)
        return any(self._takes(schema, json.dumps(one, ensure_ascii=False)) for one in spelled)

    def wanders(self, schema: str, seed: int) -> str | None:
        """What a model without a mind answers; None if it does not come to an end."""
        chooser = random.Random(seed)
        constraint = self._compiled(schema)
        answer: list[int] = []
        while len(answer) < _MOST_TOKENS:
            forced = constraint.forced()
            token = forced[0] if forced else self._drawn(constraint, chooser, hurry=len(answer) > _LONG)
            if token in self._ends:
                break
            constraint.accept(token)
            answer.append(token)
            if constraint.finished:
                break
        else:
            return None
        return b"".join(map(self._vocabulary.piece, answer)).decode("utf-8", "replace")

    def _drawn(self, constraint: AnswerConstraint, chooser: random.Random, *, hurry: bool) -> int:
        allowed = constraint.allowed(but=-1)
        ids = set(allowed.ids.tolist())
        if allowed.ruled_out:
            ids = set(range(self._vocabulary.n_tokens)) - ids
        ends = ids.intersection(self._ends)
        if ends and (hurry or chooser.random() < 0.3 or ids == ends):
            return min(ends)
        ids -= ends
        closing = ids & self._closing
        return chooser.choice(sorted(closing if closing and (hurry or chooser.random() < 0.3) else ids))

    def _takes(self, schema: str, text: str) -> bool:
        constraint = self._compiled(schema)
        for token in self._vocabulary.tokenize(text, parse_special=False):
            if constraint.finished or not constraint.allows(token):
                return False
            constraint.accept(token)
        return constraint.finished or constraint.allows(self._ends[0])

    def _compiled(self, schema: str) -> AnswerConstraint:
        return self._compiler.compile(Constraint(json_schema=schema))


def _spellings(value: Any) -> Iterator[Any]:
    """The instance with its properties in every order, and with its whole numbers as integers."""
    if isinstance(value, dict):
        for order in itertools.permutations(value):
            for values in itertools.product(*(list(itertools.islice(_spellings(value[key]), 4)) for key in order)):
                yield dict(zip(order, values, strict=True))
    elif isinstance(value, list):
        yield from map(list, itertools.product(*(list(itertools.islice(_spellings(one), 4)) for one in value)))
    else:
        yield int(value) if isinstance(value, float) and value.is_integer() else value
