"""The page of results, and the part of it that README shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.suites.outcomes import SuiteRun, Verdict

__all__ = ["PAGE", "README", "WRITE_RESULTS", "page_of", "readme_with", "reasons_of", "row_of"]

PAGE = Path(__file__).with_name("RESULTS.md")
WRITE_RESULTS = "HEARTH_WRITE_RESULTS"
"""In the environment, it has the tables written instead of compared."""
README = Path(__file__).parents[2] / "README.md"

_HEAD = "| suite | version | passed | failed | not offered | skipped |\n|---|---|---|---|---|---|\n"
_INTRODUCTION = """\
# Conformance

What test suites and clients of others give against the whole program, with Ember, all-MiniLM and tiny random models. Written by
`python -m tests.conformance`; a test fails when it is no longer so.

*Not offered* are tests of what Hearth says it does not do: it refuses the field by its name, or answers 404 or 405.

"""
_IN_README = re.compile(r"(?<=<!-- conformance -->\n).*?(?=<!-- end of conformance -->)", re.DOTALL)


def row_of(run: SuiteRun) -> str:
    counts = " | ".join(str(run.count(verdict)) for verdict in Verdict)
    return f"| {run.suite} | {run.version} | {counts} |\n"


def reasons_of(run: SuiteRun) -> str:
    """Nothing where every test passed."""
    lines = "".join(f"- {count} {verdict.value}: {why}\n" for verdict, why, count in run.reasons)
    return f"\n## {run.suite}\n\n{lines}" if lines else ""


def page_of(runs: Sequence[SuiteRun]) -> str:
    return _INTRODUCTION + _table(runs) + "".join(map(reasons_of, runs))


def readme_with(runs: Sequence[SuiteRun], readme: str) -> str:
    table = _table(runs)
    return _IN_README.sub(lambda _: table, readme)


def _table(runs: Sequence[SuiteRun]) -> str:
    return _HEAD + "".join(map(row_of, runs))
