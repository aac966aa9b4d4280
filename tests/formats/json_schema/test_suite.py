from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tests.formats.json_schema.score import Score, read_table, scored, table, worse
from tests.formats.json_schema.suite import DRAFTS, FORMAT, cases
from tests.formats.json_schema.walker import Walker

README = Path(__file__).with_name("README.md")
# Random answers for each schema. More of them: HEARTH_SCHEMA_SEEDS=100.
SEEDS = range(int(os.environ.get("HEARTH_SCHEMA_SEEDS", "4")))


def scores(walker: Walker, seeds: Iterable[int]) -> dict[str, Score]:
    found: dict[str, Score] = {}
    for draft in DRAFTS:
        for case in cases(draft):
            found[case.keyword] = found.get(case.keyword, Score()) + scored(case, walker, seeds)
    return found


def test_answers_are_held_to_as_much_of_json_schema_as_is_recorded(walker: Walker) -> None:
    found = scores(walker, SEEDS)
    print(table(found))
    recorded = read_table(README.read_text("utf-8"))
    assert [keyword for keyword, score in found.items() if worse(score, recorded[keyword])] == []
    # Of formats it is recorded what is let through.
    assert [fault for keyword, score in found.items() if not keyword.startswith(FORMAT) for fault in score.faults] == []
