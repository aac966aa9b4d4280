"""What a suite gave, and what is known of the tests that Hearth does not pass."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

__all__ = ["Case", "Known", "Suite", "SuiteRun", "Verdict"]


class Verdict(enum.Enum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Case:
    """One test. `why` is what a failure or a skip says, or once that is known, the reason in our words."""

    name: str
    verdict: Verdict
    why: str = ""
    known: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """Tests that can't pass, and why. `tests` is searched for in their names, `says` in what their failures say.

    NOT_OFFERED is for what Hearth says clearly that it does not do: a refusal that names the field, or 404 for an endpoint.
    """

    why: str
    says: str
    tests: str = ""
    verdict: Verdict = Verdict.FAILED

    def explains(self, case: Case) -> bool:
        return (
            case.verdict is Verdict.FAILED
            and not case.known
            and bool(re.search(self.tests, case.name) and re.search(self.says, case.why))
        )


@dataclass(frozen=True, slots=True)
class SuiteRun:
    suite: str
    version: str
    cases: tuple[Case, ...]
    outdated: tuple[Known, ...] = ()

    def count(self, verdict: Verdict) -> int:
        return sum(case.verdict is verdict for case in self.cases)

    @property
    def unexplained(self) -> tuple[Case, ...]:
        return tuple(case for case in self.cases if case.verdict is Verdict.FAILED and not case.known)

    @property
    def reasons(self) -> tuple[tuple[Verdict, str, int], ...]:
        """Why tests did not pass, and how many each reason holds for."""
        counted = Counter((case.verdict, case.why) for case in self.cases if case.verdict is not Verdict.PASSED)
        order = list(Verdict)
        return tuple(
            (verdict, why, count)
            for (verdict, why), count in sorted(counted.items(), key=lambda item: (order.index(item[0][0]), -item[1]))
        )


@dataclass(frozen=True, slots=True)
class Suite:
    """`cases` runs the tests against the API at an address, which ends with /v1."""

    name: str
    version: Callable[[], str]
    cases: Callable[[str], Sequence[Case]]
    known: tuple[Known, ...] = ()

    def run(self, address: str) -> SuiteRun:
        cases = tuple(map(self._explained, self.cases(address)))
        reasons = {case.why for case in cases}
        outdated = tuple(known for known in self.known if known.why not in reasons)
        return SuiteRun(self.name, self.version(), cases, outdated)

    def _explained(self, case: Case) -> Case:
        for known in self.known:
            if known.explains(case):
                return replace(case, verdict=known.verdict, why=known.why, known=True)
        return case
