"""How much of JSON Schema answers are held to: a row per keyword."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from jsonschema import validators
from referencing import Registry

from app.domain.errors import InvalidRequest
from app.formats.answer_check import AnswerCheck
from app.formats.enforced_schema import EnforcedSchema
from app.formats.schemas import enforced_schema
from tests.formats.json_schema.suite import FORMAT, Case
from tests.formats.json_schema.walker import Walker

__all__ = ["Score", "read_table", "scored", "table", "worse"]

_HEAD = "| keyword | schemas | enforced | checked | refused | valid accepted | invalid refused | random answers right |"
_RULE = "|---|---|---|---|---|---|---|---|"


@dataclass(slots=True)
class Score:
    """Schemas are `enforced` wholly by the grammar, `checked` also afterwards, or `refused`. Pairs are how many, of how many.

    `faults` are answers that should not have been let through.
    """

    schemas: int = 0
    enforced: int = 0
    checked: int = 0
    refused: int = 0
    accepted: tuple[int, int] = (0, 0)
    stopped: tuple[int, int] = (0, 0)
    random: tuple[int, int] = (0, 0)
    faults: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[str, ...]:
        pairs = (f"{had} of {possible}" if possible else "–" for had, possible in (self.accepted, self.stopped, self.random))
        return (*map(str, (self.schemas, self.enforced, self.checked, self.refused)), *pairs)

    def __add__(self, other: Score) -> Score:
        both = {name.name: (getattr(self, name.name), getattr(other, name.name)) for name in fields(self)}
        return Score(
            **{
                name: (one[0] + two[0], one[1] + two[1]) if isinstance(one, tuple) else one + two
                for name, (one, two) in both.items()
            }
        )


def scored(case: Case, walker: Walker, seeds: Iterable[int]) -> Score:
    """One schema's part of its keyword's score."""
    text = json.dumps(case.schema)
    try:
        found = enforced_schema(text, strict=False, what="The schema", param="response_format")
        check = AnswerCheck(text, "response_format") if found.left_out else None
    except InvalidRequest:
        return Score(schemas=1, refused=1)
    if found.left_out and case.keyword.startswith(FORMAT):
        # By the specification an annotation, which promises nothing.
        return Score(schemas=1)
    score = Score(schemas=1, enforced=int(check is None), checked=int(check is not None))
    for instance, valid in case.instances:
        score += _of_instance(walker, found, check, instance, valid=valid, what=case.what)
    for seed in seeds:
        score += _of_random(walker, case.schema, found, check, seed, what=case.what)
    return score


def _of_instance(
    walker: Walker, found: EnforcedSchema, check: AnswerCheck | None, instance: Any, *, valid: bool, what: str
) -> Score:
    taken = walker.accepts(found.text, instance)
    passed = taken and (check is None or check.problem_of(json.dumps(instance)) is None)
    if valid:
        return Score(accepted=(int(passed), 1))
    return Score(stopped=(int(not passed), 1), faults=[f"{what}: {json.dumps(instance)}"] if passed else [])


def _of_random(walker: Walker, schema: Any, found: EnforcedSchema, check: AnswerCheck | None, seed: int, *, what: str) -> Score:
    """A checked answer may fail its schema, but then the check has to say so."""
    answer = walker.wanders(found.text, seed)
    if answer is None:
        return Score()
    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    conforms = kind(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER).is_valid(json.loads(answer))
    right = conforms == (check is None or check.problem_of(answer) is None)
    return Score(random=(int(right), 1), faults=[] if right else [f"{what}: {answer}"])


def table(scores: Mapping[str, Score]) -> str:
    total = sum((replace(score) for score in scores.values()), Score())
    rows = [*sorted(scores.items()), ("**all**", total)]
    return "\n".join([_HEAD, _RULE, *(f"| {' | '.join((keyword, *score.row))} |" for keyword, score in rows)])


def read_table(text: str) -> dict[str, tuple[str, ...]]:
    """The rows of a table within `text`, by their keywords."""
    lines = text[text.index(_RULE) :].split("\n")[1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {keyword: tuple(cells) for keyword, *cells in rows}


def worse(score: Score, recorded: Sequence[str]) -> bool:
    """Whether fewer schemas are enforced, more are refused, or a smaller part of the answers is as it should be."""
    parts = zip((score.accepted, score.stopped, score.random), map(_part, recorded[4:]), strict=True)
    return (
        score.enforced < int(recorded[1])
        or score.refused > int(recorded[3])
        or any(had * of < before * possible for (had, possible), (before, of) in parts)
    )


def _part(cell: str) -> tuple[int, int]:
    had, _, possible = cell.partition(" of ")
    return (int(had), int(possible)) if possible else (0, 0)
